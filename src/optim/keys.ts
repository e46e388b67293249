/** Keys of the group `optim`: common ones, and those of each optimizer. */
import { z } from 'zod'
import type { OptimizerName } from './optimizers.ts'

export const optimKeys = {
  baseLearningRate: z.number().positive().default(1.5e-4).describe('per 256 samples of effective batch'),
  minLearningRate: z.number().min(0).default(0).describe('where the cosine ends'),
  warmupFraction: z
    .number()
    .min(0)
    .max(1)
    .default(0.05)
    .describe('share of the steps that warm up (40 of 800 epochs in the paper)'),
  warmupSteps: z.int().min(0).nullable().default(null).describe('overrides warmupFraction'),
  freezeEncoderSteps: z
    .int()
    .min(0)
    .nullable()
    .default(null)
    .describe(
      'steps in which the encoder that --init gives stays as it is, while new heads and decoders learn; null: those of the warm-up',
    ),
  weightDecay: z.number().min(0).default(0.05).describe('on tensors of two or more dimensions'),
  finalWeightDecay: z
    .number()
    .min(0)
    .nullable()
    .default(null)
    .describe('where half a cosine takes the weight decay to by the end (DINO); null keeps it'),
  clipGradientNorm: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe('longer gradients are shortened to it; null does not clip'),
  clipBy: z
    .enum(['all', 'tensor'])
    .default('all')
    .describe('whether that is the length of all gradients together, or of each tensor by itself (DINO)'),
}

const adamKeys = {
  beta1: z.number().min(0).lt(1).default(0.9).describe('decay of the mean of gradients'),
  beta2: z.number().min(0).lt(1).default(0.95).describe('decay of the mean of squared gradients'),
  epsilon: z.number().positive().default(1e-8).describe('added to the root of the squared gradients'),
}

const momentum = z
  .number()
  .min(0)
  .lt(1)
  .default(0.9)
  .describe('share of the last update that goes into the next')

/** The first is the default. */
export const optimizerKeys = {
  adamw: adamKeys,
  adam: adamKeys,
  lars: {
    momentum,
    trustCoefficient: z
      .number()
      .positive()
      .default(1e-3)
      .describe("length of a matrix's update over that of the matrix, before the learning rate"),
  },
  sgd: { momentum },
} satisfies Record<OptimizerName, z.ZodRawShape>
