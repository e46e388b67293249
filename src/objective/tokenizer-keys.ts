/** Configuration keys of tokenizers, besides the common ones. They learn from images alone. */
import { z } from 'zod'
import { limits } from '../model/dimensions.ts'
import { targetKeys } from '../target/targets.ts'

const upTo = (most: number) => z.int().min(1).max(most)

/** The group `codebook`; the defaults are those of the papers. */
const codebookKeys = (usual: { readonly commitment: number; readonly decoderDepth: number }) => ({
  size: upTo(2 ** 20)
    .min(2)
    .default(8192)
    .describe('codes; at most as many as the first step has patches'),
  width: upTo(limits.width).default(32).describe('numbers of a code'),
  decay: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.99)
    .describe('share of a code that stays in a step; the rest moves to the mean of its vectors'),
  commitment: z
    .number()
    .positive()
    .default(usual.commitment)
    .describe('weight of the distance from vectors to their codes in the loss'),
  revive: z
    .number()
    .gt(0)
    .lt(1)
    .nullable()
    .default(null)
    .describe(
      'put codes that are used less than this share of the mean onto vectors of the step; null: leave them, as published',
    ),
  decoderDepth: upTo(limits.depth)
    .default(usual.decoderDepth)
    .describe('blocks of the decoder behind the codebook'),
})

export const vqkdKeys = {
  inWords: 'A tokenizer of what a frozen teacher sees, VQ-KD (Peng et al. 2022)',
  keys: { codebook: codebookKeys({ commitment: 1, decoderDepth: 1 }) },
  kinds: { images: {}, rasters: null },
  targets: {
    features: {
      ...targetKeys.features,
      loss: z
        .enum(['smooth-l1', 'mse', 'cosine'])
        .default('cosine')
        .describe(targetKeys.features.loss.description!),
    },
  },
  target: 'features',
} as const

export const vqPixelsKeys = {
  inWords: 'A tokenizer of pixels, a convolutional VQ-VAE (van den Oord et al. 2017)',
  keys: { codebook: codebookKeys({ commitment: 0.25, decoderDepth: 2 }) },
  kinds: { images: {}, rasters: null },
  /** Its encoder is no transformer, and reads these keys of the group `model` alone. */
  model: ['size', 'imageSize', 'patchSize', 'channels', 'width', 'depth'],
} as const
