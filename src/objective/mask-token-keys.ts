/** Configuration keys of objectives with mask tokens in the encoder, besides the common ones. Of rasters, SimMIM and MaskFeat. */
import { z } from 'zod'
import { limits } from '../model/dimensions.ts'
import { modelKeys } from '../model/keys.ts'
import { targetKeys } from '../target/targets.ts'
import { maskKindKeys, rasterMaskKeys, rasterMaskKindKeys } from '../token/keys.ts'

/** The key with another default. */
const withDefault = <T extends z.ZodType>(key: z.ZodDefault<T>, value: z.util.NoUndefined<z.output<T>>) =>
  key.unwrap().default(value).describe(key.description!)

/** Each group of bands has its own tokens, and each is hidden or not. */
const ofRasters = { images: {}, rasters: { mask: rasterMaskKeys } }

export const simmimKeys = {
  inWords: 'SimMIM (Xie et al. 2022)',
  keys: {},
  kinds: ofRasters,
  rasterMasks: rasterMaskKindKeys,
  masks: maskKindKeys(0.6),
  targets: {
    ...targetKeys,
    pixels: {
      ...targetKeys.pixels,
      normalize: withDefault(targetKeys.pixels.normalize, false),
    },
  },
}

export const maskfeatKeys = {
  inWords: 'MaskFeat (Wei et al. 2022)',
  keys: {},
  kinds: ofRasters,
  rasterMasks: rasterMaskKindKeys,
  masks: maskKindKeys(0.4),
  targets: targetKeys,
  target: 'hog',
} as const

/** The encoder of BEiT: shared relative positions, no absolute ones, no bias of keys, LayerScale. */
const beitEncoder = {
  positions: withDefault(modelKeys.positions, 'none'),
  relativePositions: withDefault(modelKeys.relativePositions, 'shared'),
  qkvBias: withDefault(modelKeys.qkvBias, 'qv'),
  layerScale: withDefault(modelKeys.layerScale, 0.1),
}
const beitMasks = { masks: maskKindKeys(0.4), mask: 'block' } as const

export const beitKeys = {
  inWords: 'BEiT (Bao et al. 2022)',
  keys: { model: beitEncoder },
  ...beitMasks,
  kinds: { images: {}, rasters: null },
  targets: targetKeys,
  target: 'codes',
} as const

const earlyKeys = {
  layers: z
    .int()
    .min(1)
    .max(limits.depth)
    .nullable()
    .default(null)
    .describe('the second head reads patches behind so many blocks; null: three quarters of model.depth'),
  depth: z.int().min(1).max(limits.depth).default(2).describe('blocks of the second head'),
  shared: z
    .boolean()
    .default(true)
    .describe('whether norm and linear map of the second head are those of the first'),
}

export const beitv2Keys = {
  inWords: 'BEiT v2 (Peng et al. 2022)',
  keys: { model: beitEncoder, early: earlyKeys },
  ...beitMasks,
  kinds: { images: {}, rasters: null },
  targets: targetKeys,
  target: 'codes',
} as const

/** BEiT's encoder with smaller factors, and 60 % hidden in blocks. */
export const data2vecKeys = {
  inWords: 'data2vec (Baevski et al. 2022)',
  keys: { model: { ...beitEncoder, layerScale: withDefault(modelKeys.layerScale, 1e-4) } },
  masks: maskKindKeys(0.6),
  mask: 'block',
  kinds: { images: {}, rasters: null },
  targets: targetKeys,
  target: 'teacher',
} as const
