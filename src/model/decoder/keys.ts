/** The configuration's keys of the decoder, in the group `decoder`. */
import { z } from 'zod'
import { limits } from '../dimensions.ts'

const upTo = (most: number) => z.int().min(1).max(most)
const share = upTo(limits.width)

export const decoderKeys = {
  width: share.default(512).describe('numbers of a token'),
  depth: upTo(limits.depth).default(8).describe('blocks'),
  heads: upTo(limits.heads).default(16).describe('attention heads; they divide the width'),
}

export const rasterDecoderKeys = {
  groupWidth: share
    .default(128)
    .describe('numbers of a position that say the group of bands, where there are groups'),
  timeWidth: share.default(64).describe('numbers of a position for each of model.timeFields'),
  compat: z
    .enum(['satmae'])
    .nullable()
    .default(null)
    .describe('satmae: bands of the heads in the order of the released code, for its decoder weights'),
}
