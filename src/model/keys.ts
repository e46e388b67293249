/** The configuration's keys of the encoder, in the group `model`. */
import { z } from 'zod'
import { bandList } from '../prepare/keys.ts'
import { wholeFeatures } from '../token/feature.ts'
import { shortSize, sidesOf } from '../token/grid.ts'
import { offsetResamplingNames, resamplingNames } from '../token/resample-positions.ts'
import { timeFieldNames } from '../token/sine-cosine.ts'
import type { AdaptKind } from './adapt.ts'
import { limits } from './dimensions.ts'
import { activations, feedForwards } from './feed-forward.ts'
import { qkvBiases } from './qkv.ts'
import { relativeTables } from './relative-position.ts'
import { sizeNames } from './sizes.ts'

const upTo = (most: number) => z.int().min(1).max(most)
const side = upTo(limits.side)
const patchSide = upTo(limits.patchSize).min(2)
/** Numbers of a position that are kept for something. */
const share = upTo(limits.width)

const namesOf = <T extends object>(table: T) =>
  Object.keys(table) as [keyof T & string, ...(keyof T & string)[]]

/** What differs between published encoders. */
const variantKeys = {
  positionGrid: z
    .tuple([side, side])
    .nullable()
    .default(null)
    .describe('rows and columns that learned or relative positions are stored for; null: those of imageSize'),
  relativePositions: z
    .enum(relativeTables)
    .nullable()
    .default(null)
    .describe(
      'learned numbers that attention adds for each offset between patches: one table, one in each block, or both (BEiT, data2vec)',
    ),
  relativeResampling: z
    .enum(offsetResamplingNames)
    .default('linear')
    .describe(
      'how tables of relative positions are brought to another grid: as transformers or as timm does',
    ),
  rotaryPeriods: z
    .array(z.number().positive())
    .min(1)
    .max(limits.width)
    .nullable()
    .default(null)
    .describe("periods by which queries and keys are turned, a quarter as many as a head's numbers (DINOv3)"),
  cls: z.boolean().default(true).describe('whether there is a cls token; I-JEPA and SigLIP have none'),
  registers: z.int().min(0).max(limits.width).default(0).describe('register tokens (DINOv2, DINOv3)'),
  patchBias: z.boolean().default(true).describe('whether the patch embedding has a bias; not in CLIP'),
  preNorm: z.boolean().default(false).describe('a norm of all tokens before the blocks (CLIP)'),
  feedForward: z
    .enum(namesOf(feedForwards))
    .default('mlp')
    .describe("a block's second half: an MLP, or a gate in one map (DINOv2) or in two (DINOv3)"),
  activation: z
    .enum(namesOf(activations))
    .nullable()
    .default(null)
    .describe('of the MLP or the gate; null: gelu of an MLP, silu of a gate'),
  hidden: upTo(limits.width * limits.mlpRatio)
    .nullable()
    .default(null)
    .describe('hidden width of an MLP or gate; null: by mlpRatio'),
  qkvBias: z
    .enum(namesOf(qkvBiases))
    .default('all')
    .describe('which of query, key and value have a bias: all, query and value (BEiT), none'),
  layerScale: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe('factors of both halves of a block are learned, and begin with this; null: there are none'),
  attentionPool: z
    .boolean()
    .default(false)
    .describe('a learned query reads the tokens for "pooled" (SigLIP)'),
  projection: share.nullable().default(null).describe('numbers of the projected cls token, "pooled" (CLIP)'),
  feature: z
    .enum(wholeFeatures)
    .default('mean')
    .describe('the vector that stands for an image where --pool names no other'),
}

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
    .enum(['fixed', 'learned', 'none'])
    .default('fixed')
    .describe(
      "added to the encoder's tokens: computed sines and cosines, parameters, or none where attention has its own (relativePositions, rotaryPeriods)",
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
  ...variantKeys,
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

/** Of the group `adapt`, by how an encoder that --init gives learns; the first is the default. */
export const adaptKeys = {
  none: {},
  lora: {
    rank: z.int().min(0).max(limits.width).default(8).describe('r of A [r, in] and B [out, r]'),
    alpha: z.number().positive().default(16).describe('a weight changes by alpha / rank times B·A'),
    targets: z
      .array(z.string().min(1))
      .min(1)
      .default(['qkv', 'proj'])
      .describe('the linear maps of the blocks that get adapters, by the ends of their names'),
  },
  bitfit: {},
} as const satisfies Record<AdaptKind, z.ZodRawShape>
