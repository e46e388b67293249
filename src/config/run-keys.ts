/** Keys that every objective reads: batches, length, machine, checkpoints, output. */
import { z } from 'zod'
import { isSeed } from '../random/draws.ts'

const many = z.int().min(1).max(1_048_576)
const count = z.int().min(0)

export const trainKeys = {
  seed: z
    .number()
    .refine(isSeed, 'must be an integer in [0, 2^53)')
    .meta({ allowed: 'whole number ≥ 0, below 2^53' })
    .default(0)
    .describe('of every random draw: weights, order, crops, masks'),
  batchSize: many.default(64).describe('samples of one micro-batch'),
  accumulate: many
    .default(1)
    .describe('micro-batches of one step; the effective batch is batchSize · accumulate'),
  epochs: z.number().positive().default(800).describe('passes over the data'),
  steps: z.int().min(1).nullable().default(null).describe('optimizer steps; overrides epochs'),
  device: z.enum(['auto', 'cpu', 'cuda']).default('auto').describe('auto takes a GPU that LibTorch sees'),
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
  record: z
    .boolean()
    .default(true)
    .describe(
      'on a GPU, record a step once as a CUDA graph and repeat it, where every step does the same; false takes operators one by one',
    ),
  threads: z
    .int()
    .min(0)
    .max(1024)
    .default(0)
    .describe('threads of one operator, at most four for each core; 0 takes every core'),
  maxSkippedSteps: count
    .default(10)
    .describe('steps in a row whose loss or gradient may be not finite; each is skipped'),
  maxRollbacks: count
    .default(3)
    .describe(
      'how often, after more of them, the run goes back to one good checkpoint and on in another order',
    ),
}

export const checkpointKeys = {
  everySteps: z
    .int()
    .min(1)
    .default(500)
    .describe('how often a checkpoint is saved; and once more at the end'),
  keep: z
    .int()
    .min(2)
    .default(2)
    .describe('the number of latest checkpoints to keep; the newest is not yet known to be good'),
  keepEverySteps: count
    .default(0)
    .describe('checkpoints whose step is a multiple of it stay for good; 0 for none'),
}

export const logKeys = {
  earlySeconds: z
    .number()
    .min(0)
    .default(60)
    .describe(
      'a first picture, probe and checkpoint after so many seconds, or after 1 % of the steps of a run of 1,000 or more; 0 for none',
    ),
  everySteps: z.int().min(1).default(1).describe('a line in metrics.jsonl'),
  pictureEverySteps: count.default(500).describe('a reconstruction in samples/; 0 for none'),
  probe: z
    .string()
    .meta({ allowed: 'folder' })
    .nullable()
    .default(null)
    .describe('folder of labelled images that the encoder is probed with while it learns; null for none'),
  probeEverySteps: z.int().min(1).default(500).describe('how often it is probed; and once more at the end'),
}
