/**
 * The configuration of a run: one strict schema, parsed once, frozen, saved with the run. Defaults exist only here.
 * The recipe is that of He et al. 2021, appendix A.1, unless a description says otherwise.
 */
import { z } from 'zod'
import { limits } from '../model/dimensions.ts'
import { sizeNames } from '../model/sizes.ts'
import { isSeed } from '../random/draws.ts'
import { bandStatistics } from '../target/band-pixels.ts'
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
  /** gives width, depth, heads and patchSize where they are not set */
  size: z
    .enum(sizeNames as [(typeof sizeNames)[number], ...typeof sizeNames])
    .default('base')
    .describe('gives width, depth, heads and patchSize where they are not set'),
  /** pixels: one side, or [height, width] */
  imageSize: z
    .union([side, z.tuple([side, side])], {
      error: 'expected one positive whole number up to 16384, or [height, width]',
    })
    .default(224)
    .describe('pixels: one side, or [height, width]'),
  /** patch side in pixels */
  patchSize: upTo(limits.patchSize).min(2).optional().describe('patch side in pixels'),
  /** 3, or as many as data.bands */
  channels: upTo(limits.channels).optional().describe('3, or as many as data.bands'),
  /** dates of one sample */
  frames: upTo(limits.frames).default(1).describe('dates of one sample'),
  /** bands that share a token, by name (SatMAE); null: all bands do */
  groups: z
    .array(bandList)
    .min(1)
    .max(1024)
    .nullable()
    .default(null)
    .describe('bands that share a token, by name (SatMAE); null: all bands do'),
  /** numbers of the encoder's position that say the group of bands, where there are groups */
  groupWidth: share
    .default(256)
    .describe("numbers of the encoder's position that say the group of bands, where there are groups"),
  /** the same of the decoder's */
  decoderGroupWidth: share.default(128).describe("the same of the decoder's"),
  /** date fields that are encoded into each token (SatMAE: year, month, hour) */
  timeFields: z
    .array(z.enum(timeFieldNames))
    .max(16)
    .default([])
    .describe('date fields that are encoded into each token (SatMAE: year, month, hour)'),
  /** numbers of the encoder's position for each of them */
  timeWidth: share.default(128).describe("numbers of the encoder's position for each of them"),
  /** the same of the decoder's */
  decoderTimeWidth: share.default(64).describe("the same of the decoder's"),
  /** metres a pixel that count as scale 1 in positions (Scale-MAE); null: the scale does not matter */
  referenceResolution: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe(
      'metres a pixel that count as scale 1 in positions (Scale-MAE); null: the scale does not matter',
    ),
  /** the encoder's: computed from sines and cosines, or parameters, as in models of other programs */
  positions: z
    .enum(['fixed', 'learned'])
    .default('fixed')
    .describe(
      "the encoder's: computed from sines and cosines, or parameters, as in models of other programs",
    ),
  /** satmae: bands of the heads in the order of the released code, for its decoder weights */
  compat: z
    .enum(['satmae'])
    .nullable()
    .default(null)
    .describe('satmae: bands of the heads in the order of the released code, for its decoder weights'),
  /** the encoder's: numbers of a token */
  width: width.optional().describe("the encoder's: numbers of a token"),
  /** the encoder's blocks */
  depth: depth.optional().describe("the encoder's blocks"),
  /** the encoder's attention heads; they divide the width */
  heads: heads.optional().describe("the encoder's attention heads; they divide the width"),
  /** the decoder's: numbers of a token */
  decoderWidth: width.default(512).describe("the decoder's: numbers of a token"),
  /** the decoder's blocks */
  decoderDepth: depth.default(8).describe("the decoder's blocks"),
  /** the decoder's attention heads; they divide its width */
  decoderHeads: heads.default(16).describe("the decoder's attention heads; they divide its width"),
  /** hidden width of an MLP over the width */
  mlpRatio: z
    .number()
    .positive()
    .max(limits.mlpRatio)
    .default(4)
    .describe('hidden width of an MLP over the width'),
  /** added to the variance in a layer norm */
  layerNormEpsilon: z.number().positive().default(1e-6).describe('added to the variance in a layer norm'),
})

const maskSchema = z.strictObject({
  /** share of patches that are hidden; ⌊N · (1 − ratio)⌋ are kept */
  ratio: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.75)
    .describe('share of patches that are hidden; ⌊N · (1 − ratio)⌋ are kept'),
  /** whether all groups of bands hide the same places (consistent) */
  groups: z
    .enum(sharings)
    .default('independent')
    .describe('whether all groups of bands hide the same places (consistent)'),
  /** whether all dates do */
  frames: z.enum(sharings).default('independent').describe('whether all dates do'),
  /** hide exactly the ratio of every date, and not of all dates together */
  perFrame: z
    .boolean()
    .default(false)
    .describe('hide exactly the ratio of every date, and not of all dates together'),
})

const targetSchema = z.strictObject({
  /** predict patches normalised by their own mean and variance */
  normalize: z.boolean().default(true).describe('predict patches normalised by their own mean and variance'),
  /** those of the group's patch, of each band's, or of all bands at the place */
  statistics: z
    .enum(bandStatistics)
    .default('group')
    .describe("those of the group's patch, of each band's, or of all bands at the place"),
  /** larger pictures to rebuild, too (SatMAE++): [2] or [2, 4]; needs target.normalize false */
  scales: z
    .array(upTo(64))
    .min(1)
    .max(8)
    .nullable()
    .default(null)
    .describe('larger pictures to rebuild, too (SatMAE++): [2] or [2, 4]; needs target.normalize false'),
  /** channels of the convolutions that enlarge */
  scalesWidth: upTo(4096).default(64).describe('channels of the convolutions that enlarge'),
})

const optimSchema = z.strictObject({
  /** per 256 samples of effective batch */
  baseLearningRate: z.number().positive().default(1.5e-4).describe('per 256 samples of effective batch'),
  /** where the cosine ends */
  minLearningRate: z.number().min(0).default(0).describe('where the cosine ends'),
  /** share of the steps that warm up (40 of 800 epochs in the paper) */
  warmupFraction: z
    .number()
    .min(0)
    .max(1)
    .default(0.05)
    .describe('share of the steps that warm up (40 of 800 epochs in the paper)'),
  /** overrides warmupFraction */
  warmupSteps: z.number().int().min(0).nullable().default(null).describe('overrides warmupFraction'),
  /** decay of the mean of gradients in AdamW */
  beta1: z.number().min(0).lt(1).default(0.9).describe('decay of the mean of gradients in AdamW'),
  /** decay of the mean of squared gradients in AdamW */
  beta2: z.number().min(0).lt(1).default(0.95).describe('decay of the mean of squared gradients in AdamW'),
  /** added to the root of the squared gradients in AdamW */
  epsilon: z
    .number()
    .positive()
    .default(1e-8)
    .describe('added to the root of the squared gradients in AdamW'),
  /** on tensors of two or more dimensions */
  weightDecay: z.number().min(0).default(0.05).describe('on tensors of two or more dimensions'),
  /** null does not clip */
  clipGradientNorm: z.number().positive().nullable().default(null).describe('null does not clip'),
})

const trainSchema = z.strictObject({
  /** of every random draw: weights, order, crops, masks */
  seed: z
    .number()
    .refine(isSeed, 'must be an integer in [0, 2^53)')
    .default(0)
    .describe('of every random draw: weights, order, crops, masks'),
  /** samples of one micro-batch */
  batchSize: upTo(1_048_576).default(64).describe('samples of one micro-batch'),
  /** micro-batches of one step; the effective batch is batchSize · accumulate */
  accumulate: upTo(1_048_576)
    .default(1)
    .describe('micro-batches of one step; the effective batch is batchSize · accumulate'),
  /** passes over the data */
  epochs: z.number().positive().default(800).describe('passes over the data'),
  /** optimizer steps; overrides epochs */
  steps: positiveInteger.nullable().default(null).describe('optimizer steps; overrides epochs'),
  /** auto takes a GPU that LibTorch sees */
  device: z.enum(['auto', 'cpu', 'cuda']).default('auto').describe('auto takes a GPU that LibTorch sees'),
  /**
   * type of matrix products in pretraining, fine-tuning and the online probe; auto takes bf16 where the hardware has it
   */
  precision: z
    .enum(['auto', 'fp32', 'bf16'])
    .default('auto')
    .describe(
      'type of matrix products in pretraining, fine-tuning and the online probe; auto takes bf16 where the hardware has it',
    ),
  /** keep only the ends of each block and compute the rest again: a third slower, in far less memory */
  recompute: z
    .boolean()
    .default(false)
    .describe(
      'keep only the ends of each block and compute the rest again: a third slower, in far less memory',
    ),
  /** sherd's own kernels where they are the faster way, or LibTorch's operators one by one, to compare */
  kernels: z
    .enum(['fused', 'composed'])
    .default('fused')
    .describe(
      "sherd's own kernels where they are the faster way, or LibTorch's operators one by one, to compare",
    ),
  /** threads of one operator, at most four for each core; 0 takes every core */
  threads: z
    .number()
    .int()
    .min(0)
    .max(1024)
    .default(0)
    .describe('threads of one operator, at most four for each core; 0 takes every core'),
  /** steps in a row whose loss or gradient may be not finite; each is skipped */
  maxSkippedSteps: z
    .number()
    .int()
    .min(0)
    .default(10)
    .describe('steps in a row whose loss or gradient may be not finite; each is skipped'),
  /** how often, after more of them, the run goes back to one good checkpoint and on in another order */
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
  /** how often a checkpoint is saved; and once more at the end */
  everySteps: positiveInteger
    .default(500)
    .describe('how often a checkpoint is saved; and once more at the end'),
  /** the latest checkpoints that stay; the newest has not proven yet that training goes on from it */
  keep: z
    .number()
    .int()
    .min(2)
    .default(2)
    .describe(
      'the latest checkpoints that stay; the newest has not proven yet that training goes on from it',
    ),
  /** checkpoints whose step is a multiple of it stay for good; 0 for none */
  keepEverySteps: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe('checkpoints whose step is a multiple of it stay for good; 0 for none'),
})

const logSchema = z.strictObject({
  /** a line in metrics.jsonl */
  everySteps: positiveInteger.default(1).describe('a line in metrics.jsonl'),
  /** a reconstruction in samples/; 0 for none */
  pictureEverySteps: z
    .number()
    .int()
    .min(0)
    .default(500)
    .describe('a reconstruction in samples/; 0 for none'),
  /** folder of labelled images that the encoder is probed with while it learns; null for none */
  probe: z
    .string()
    .nullable()
    .default(null)
    .describe('folder of labelled images that the encoder is probed with while it learns; null for none'),
  /** how often it is probed; and once more at the end */
  probeEverySteps: positiveInteger.default(500).describe('how often it is probed; and once more at the end'),
})

export const configSchema = z.strictObject({
  /** what is trained: a masked autoencoder */
  objective: z.enum(['mae']).default('mae').describe('what is trained: a masked autoencoder'),
  /** what samples are, and how they are read and cut */
  data: dataSchema.prefault({}).describe('what samples are, and how they are read and cut'),
  /** sizes of the encoder and the decoder */
  model: modelSchema.prefault({}).describe('sizes of the encoder and the decoder'),
  /** which tokens are hidden */
  mask: maskSchema.prefault({}).describe('which tokens are hidden'),
  /** what is predicted of hidden tokens */
  target: targetSchema.prefault({}).describe('what is predicted of hidden tokens'),
  /** the optimizer and its learning rate */
  optim: optimSchema.prefault({}).describe('the optimizer and its learning rate'),
  /** batches, length and machine of a run */
  train: trainSchema.prefault({}).describe('batches, length and machine of a run'),
  /** when checkpoints are saved, and which stay */
  checkpoint: checkpointSchema.prefault({}).describe('when checkpoints are saved, and which stay'),
  /** what is written while a run trains */
  log: logSchema.prefault({}).describe('what is written while a run trains'),
})

/** What a preset or a user writes: everything may be left out. */
export type ConfigInput = z.input<typeof configSchema>
/** A complete configuration. */
export type Config = z.output<typeof configSchema>
