/** Configuration keys of objectives with mask tokens in the encoder, besides the common ones. They learn from images alone so far. */
import { z } from 'zod'
import { targetKeys } from '../target/targets.ts'
import { maskKeys } from '../token/keys.ts'

/** Hidden in the paper. */
const withShare = (ratio: number) => ({
  mask: { ...maskKeys, ratio: maskKeys.ratio.unwrap().default(ratio).describe(maskKeys.ratio.description!) },
})

export const simmimKeys = {
  inWords: 'SimMIM (Xie et al. 2022)',
  keys: withShare(0.6),
  kinds: { images: {}, rasters: null },
  targets: {
    ...targetKeys,
    pixels: {
      ...targetKeys.pixels,
      normalize: z.boolean().default(false).describe(targetKeys.pixels.normalize.description!),
    },
  },
}

export const maskfeatKeys = {
  inWords: 'MaskFeat (Wei et al. 2022)',
  keys: withShare(0.4),
  kinds: { images: {}, rasters: null },
  targets: targetKeys,
  target: 'hog',
} as const
