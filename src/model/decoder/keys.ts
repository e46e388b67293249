/** The configuration's keys of decoders, in the group `decoder`, by `decoder.kind`; the first kind is the default. */
import { z } from 'zod'
import { limits } from '../dimensions.ts'

const upTo = (most: number) => z.int().min(1).max(most)
const share = upTo(limits.width)

const sizes = {
  width: share.default(512).describe('numbers of a token'),
  depth: upTo(limits.depth).default(8).describe('blocks'),
  heads: upTo(limits.heads).default(16).describe('attention heads; they divide the width'),
}

const rasterSizes = {
  groupWidth: share
    .default(128)
    .describe('numbers of a position that say the group of bands, where there are groups'),
  timeWidth: share.default(64).describe('numbers of a position for each of model.timeFields'),
}

export const decoderKeys = {
  transformer: sizes,
  'cross-attention': {
    ...sizes,
    featureMaps: z
      .array(
        z
          .int()
          .min(0)
          .max(limits.depth - 1),
      )
      .nullable()
      .default(null)
      .describe(
        'blocks of the encoder of whose outputs each block of the decoder reads a mixture, such as [3,7,11]; null: all; []: it reads the final norm',
      ),
    decodeRatio: z
      .number()
      .gt(0)
      .lt(1)
      .nullable()
      .default(null)
      .describe('share of all patches that are predicted, at most mask.ratio; null: all that are hidden'),
    useInput: z.boolean().default(true).describe('whether the input of the first block is mixed in, too'),
  },
}

export type DecoderName = keyof typeof decoderKeys

/** Further ones of rasters. */
export const rasterDecoderKeys = {
  transformer: {
    ...rasterSizes,
    compat: z
      .enum(['satmae'])
      .nullable()
      .default(null)
      .describe('satmae: bands of the heads in the order of the released code, for its decoder weights'),
  },
  'cross-attention': rasterSizes,
}
