/** The configuration's keys of the encoder, in the group `model`. */
import { z } from 'zod'
import { bandList } from '../prepare/keys.ts'
import { shortSize, sidesOf } from '../token/grid.ts'
import { resamplingNames } from '../token/resample-positions.ts'
import { timeFieldNames } from '../token/sine-cosine.ts'
import { limits } from './dimensions.ts'
import { sizeNames } from './sizes.ts'

const upTo = (most: number) => z.int().min(1).max(most)
const side = upTo(limits.side)
const patchSide = upTo(limits.patchSize).min(2)
/** Numbers of a position that are kept for something. */
const share = upTo(limits.width)

/** What follows from others has no default: `resolveConfig` fills it in. */
export const modelKeys = {
  size: z
    .enum(sizeNames as [(typeof sizeNames)[number], ...typeof sizeNames])
    .default('base')
    .describe('gives width, depth, heads and patchSize where they are not set'),
  imageSize: z
    .union([side, z.tuple([side, side])], {
      error: 'expected one positive whole number up to 16384, or [height, width]',
    })
    .transform((size): [number, number] => (typeof size === 'number' ? [size, size] : size))
    .prefault(224)
    .describe('pixels: one side, or [height, width]'),
  patchSize: z
    .union([patchSide, z.tuple([patchSide, patchSide])], {
      error: 'expected a whole number from 2 to 1024, or [height, width]',
    })
    .transform((size) => shortSize(sidesOf(size)))
    .optional()
    .describe('pixels of a patch: one side, or [height, width]'),
  channels: upTo(limits.channels).optional().describe('3, or as many as data.bands'),
  positions: z
    .enum(['fixed', 'learned'])
    .default('fixed')
    .describe(
      "the encoder's: computed from sines and cosines, or parameters, as in models of other programs",
    ),
  resampling: z
    .enum(resamplingNames)
    .default('cubic')
    .describe(
      'how learned positions are brought to another grid: as transformers does, DINO (cubic-offset), timm (cubic-antialias) …',
    ),
  width: share.optional().describe("the encoder's: numbers of a token"),
  depth: upTo(limits.depth).optional().describe("the encoder's blocks"),
  heads: upTo(limits.heads).optional().describe("the encoder's attention heads; they divide the width"),
  mlpRatio: z
    .number()
    .positive()
    .max(limits.mlpRatio)
    .default(4)
    .describe('hidden width of an MLP over the width'),
  layerNormEpsilon: z.number().positive().default(1e-6).describe('added to the variance in a layer norm'),
}

export const rasterModelKeys = {
  frames: upTo(limits.frames).default(1).describe('dates of one sample'),
  groups: z
    .array(bandList)
    .min(1)
    .max(1024)
    .nullable()
    .default(null)
    .describe('bands that share a token, by name (SatMAE); null: all bands do'),
  groupWidth: share
    .default(256)
    .describe("numbers of the encoder's position that say the group of bands, where there are groups"),
  timeFields: z
    .array(z.enum(timeFieldNames))
    .max(16)
    .default([])
    .describe('date fields that are encoded into each token (SatMAE: year, month, hour)'),
  timeWidth: share.default(128).describe("numbers of the encoder's position for each of them"),
  referenceResolution: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe(
      'metres a pixel that count as scale 1 in positions (Scale-MAE); null: the scale does not matter',
    ),
}
