/**
 * The configuration of a run: one strict schema, parsed once, frozen, saved with the run. Defaults exist only here.
 * The recipe is that of He et al. 2021, appendix A.1, unless a description says otherwise.
 */
import { z } from 'zod'
import { limits } from '../model/dimensions.ts'
import { sizeNames } from '../model/sizes.ts'
import { isSeed } from '../random/draws.ts'
import { bandStatistics } from '../target/bands.ts'
import { timeFieldNames } from '../token/encoding.ts'
import { sharings } from '../token/mask-design.ts'
import { bandList, dataSchema, positiveInteger, upTo } from './data-schema.ts'

const width = upTo(limits.width)
const depth = upTo(limits.depth)
const heads = upTo(limits.heads)
const side = upTo(limits.side)
/** Numbers of a position that are kept for something. */
const share = upTo(limits.width)

const modelSchema = z.strictObject({
  size: z
    .enum(sizeNames as [(typeof sizeNames)[number], ...typeof sizeNames])
    .default('base')
    .describe('gives width, depth, heads and patchSize where they are not set'),
  imageSize: z
    .union([side, z.tuple([side, side])], {
      error: 'expected one positive whole number up to 16384, or [height, width]',
    })
    .default(224)
    .describe('pixels: one side, or [height, width]'),
  patchSize: upTo(limits.patchSize).min(2).optional().describe('patch side in pixels'),
  channels: upTo(limits.channels).optional().describe('3, or as many as data.bands'),
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
  decoderGroupWidth: share.default(128).describe("the same of the decoder's"),
  timeFields: z
    .array(z.enum(timeFieldNames))
    .max(16)
    .default([])
    .describe('what tokens are told of the date of their frame (SatMAE: year, month, hour)'),
  timeWidth: share.default(128).describe("numbers of the encoder's position for each of them"),
  decoderTimeWidth: share.default(64).describe("the same of the decoder's"),
  referenceResolution: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe(
      'metres a pixel that count as scale 1 in positions (Scale-MAE); null: the scale does not matter',
    ),
  positions: z
    .enum(['fixed', 'learned'])
    .default('fixed')
    .describe(
      "the encoder's: computed from sines and cosines, or parameters, as in models of other programs",
    ),
  compat: z
    .enum(['satmae'])
    .nullable()
    .default(null)
    .describe('satmae: bands of the heads in the order of the released code, for its decoder weights'),
  width: width.optional(),
  depth: depth.optional(),
  heads: heads.optional(),
  decoderWidth: width.default(512),
  decoderDepth: depth.default(8),
  decoderHeads: heads.default(16),
  mlpRatio: z.number().positive().max(limits.mlpRatio).default(4),
  layerNormEpsilon: z.number().positive().default(1e-6),
})

const maskSchema = z.strictObject({
  ratio: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.75)
    .describe('share of patches that are hidden; ⌊N · (1 − ratio)⌋ are kept'),
  groups: z
    .enum(sharings)
    .default('independent')
    .describe('whether all groups of bands hide the same places (consistent)'),
  frames: z.enum(sharings).default('independent').describe('whether all dates do'),
  perFrame: z
    .boolean()
    .default(false)
    .describe('hide exactly the ratio of every date, and not of all dates together'),
})

const targetSchema = z.strictObject({
  normalize: z.boolean().default(true).describe('predict patches normalised by their own mean and variance'),
  statistics: z
    .enum(bandStatistics)
    .default('group')
    .describe("those of the group's patch, of each band's, or of all bands at the place"),
  scales: z
    .array(upTo(64))
    .min(1)
    .max(8)
    .nullable()
    .default(null)
    .describe('larger pictures to rebuild, too (SatMAE++): [2] or [2, 4]; needs target.normalize false'),
  scalesWidth: upTo(4096).default(64).describe('channels of the convolutions that enlarge'),
})

const optimSchema = z.strictObject({
  baseLearningRate: z.number().positive().default(1.5e-4).describe('per 256 samples of effective batch'),
  minLearningRate: z.number().min(0).default(0).describe('where the cosine ends'),
  warmupFraction: z
    .number()
    .min(0)
    .max(1)
    .default(0.05)
    .describe('share of the steps that warm up (40 of 800 epochs in the paper)'),
  warmupSteps: z.number().int().min(0).nullable().default(null).describe('overrides warmupFraction'),
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.95),
  epsilon: z.number().positive().default(1e-8),
  weightDecay: z.number().min(0).default(0.05).describe('on tensors of two or more dimensions'),
  clipGradientNorm: z.number().positive().nullable().default(null).describe('null does not clip'),
})

const trainSchema = z.strictObject({
  seed: z.number().refine(isSeed, 'must be an integer in [0, 2^53)').default(0),
  batchSize: upTo(1_048_576).default(64).describe('samples of one micro-batch'),
  accumulate: upTo(1_048_576)
    .default(1)
    .describe('micro-batches of one step; the effective batch is batchSize · accumulate'),
  epochs: z.number().positive().default(800).describe('passes over the data'),
  steps: positiveInteger.nullable().default(null).describe('optimizer steps; overrides epochs'),
  device: z.enum(['auto', 'cpu', 'cuda']).default('auto'),
  precision: z
    .enum(['auto', 'fp32', 'bf16'])
    .default('auto')
    .describe(
      'type of matrix products in pretraining, fine-tuning and the online probe; auto takes bf16 where the hardware has it',
    ),
  recompute: z
    .boolean()
    .default(false)
    .describe(
      'keep only the ends of each block and compute the rest again: a third slower, in far less memory',
    ),
  kernels: z
    .enum(['fused', 'composed'])
    .default('fused')
    .describe(
      "sherd's own kernels where they are the faster way, or LibTorch's operators one by one, to compare",
    ),
  threads: z
    .number()
    .int()
    .min(0)
    .max(1024)
    .default(0)
    .describe('threads of one operator, at most four for each core; 0 takes every core'),
  maxSkippedSteps: z
    .number()
    .int()
    .min(0)
    .default(10)
    .describe('steps in a row whose loss or gradient may be not finite; each is skipped'),
  maxRollbacks: z
    .number()
    .int()
    .min(0)
    .default(3)
    .describe(
      'how often, after more of them, the run goes back to one good checkpoint and on in another order',
    ),
})

const checkpointSchema = z.strictObject({
  everySteps: positiveInteger.default(500),
  keep: z
    .number()
    .int()
    .min(2)
    .default(2)
    .describe(
      'the latest checkpoints that stay; the newest has not proven yet that training goes on from it',
    ),
  keepEverySteps: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe('checkpoints whose step is a multiple of it stay for good; 0 for none'),
})

const logSchema = z.strictObject({
  everySteps: positiveInteger.default(1).describe('a line in metrics.jsonl'),
  pictureEverySteps: z
    .number()
    .int()
    .min(0)
    .default(500)
    .describe('a reconstruction in samples/; 0 for none'),
  probe: z
    .string()
    .nullable()
    .default(null)
    .describe('folder of labelled images that the encoder is probed with while it learns; null for none'),
  probeEverySteps: positiveInteger.default(500).describe('how often it is probed; and once more at the end'),
})

export const configSchema = z.strictObject({
  objective: z.enum(['mae']).default('mae'),
  data: dataSchema.prefault({}),
  model: modelSchema.prefault({}),
  mask: maskSchema.prefault({}),
  target: targetSchema.prefault({}),
  optim: optimSchema.prefault({}),
  train: trainSchema.prefault({}),
  checkpoint: checkpointSchema.prefault({}),
  log: logSchema.prefault({}),
})

/** What a preset or a user writes: everything may be left out. */
export type ConfigInput = z.input<typeof configSchema>
/** A complete configuration. */
export type Config = z.output<typeof configSchema>
