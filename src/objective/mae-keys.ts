/** Configuration keys of masked autoencoding, besides the common ones. */
import { decoderKeys, rasterDecoderKeys } from '../model/decoder/keys.ts'
import { targetKeys } from '../target/targets.ts'
import { maskKeys, rasterMaskKeys, rasterMaskKindKeys } from '../token/keys.ts'

export const maeKeys = {
  inWords: 'Masked autoencoding (He et al. 2021)',
  keys: {},
  /** By the kind of the data; null where it does not take them. */
  kinds: { images: {}, rasters: { mask: rasterMaskKeys } },
  masks: maskKeys,
  rasterMasks: rasterMaskKindKeys,
  decoders: decoderKeys,
  rasterDecoders: rasterDecoderKeys,
  /** By the kind of the target. */
  targets: targetKeys,
}

const { depth, decodeRatio } = decoderKeys['cross-attention']

/** The same with other defaults, as its authors train it. */
export const crossmaeKeys = {
  inWords: 'CrossMAE (Fu et al. 2024)',
  keys: maeKeys.keys,
  kinds: maeKeys.kinds,
  masks: maskKeys,
  rasterMasks: rasterMaskKindKeys,
  decoders: {
    'cross-attention': {
      ...decoderKeys['cross-attention'],
      depth: depth.unwrap().default(12).describe(depth.description!),
      decodeRatio: decodeRatio.unwrap().default(0.25).describe(decodeRatio.description!),
    },
  },
  rasterDecoders: { 'cross-attention': rasterDecoderKeys['cross-attention'] },
  targets: targetKeys,
}
