/** Configuration keys of I-JEPA, besides the common ones; the defaults are those of the paper and its code. It learns from images alone so far. */
import { z } from 'zod'
import { limits } from '../model/dimensions.ts'
import { modelKeys } from '../model/keys.ts'
import { momentumKeys } from '../target/teacher.ts'

const range = (least: z.ZodNumber, usual: [number, number]) =>
  z
    .tuple([least, least])
    .refine(([from, to]) => from <= to, { error: 'expected two numbers, the second at least as large' })
    .default(usual)
const share = z.number().positive().max(1)
const aspect = z.number().min(0.01).max(100)
const upTo = (most: number) => z.int().min(1).max(most)

export const ijepaKeys = {
  inWords: 'I-JEPA (Assran et al. 2023)',
  keys: {
    model: {
      cls: modelKeys.cls.unwrap().default(false).describe(modelKeys.cls.description!),
    },
    blocks: {
      targets: upTo(64).default(4).describe('blocks to predict'),
      targetScale: range(share, [0.15, 0.2]).describe('share of the patches of each, drawn for every step'),
      targetAspect: range(aspect, [0.75, 1.5]).describe('rows by columns of each'),
      contexts: upTo(64).default(1).describe('blocks to predict from, each by itself'),
      contextScale: range(share, [0.85, 1]).describe(
        'share of the patches of each, before targets are taken out',
      ),
      contextAspect: range(aspect, [1, 1]).describe('rows by columns of each'),
      minKeep: upTo(65536).default(10).describe('patches that are left of each context, at least'),
      compat: z
        .enum(['ijepa'])
        .nullable()
        .default(null)
        .describe('ijepa: drawn as in the released code, which never sees the last row and column'),
    },
    predictor: {
      width: upTo(limits.width).default(384).describe('numbers of a token'),
      depth: upTo(limits.depth).default(6).describe('blocks'),
      heads: upTo(limits.heads).default(12).describe('attention heads'),
    },
    teacher: momentumKeys(0.996, 1),
  },
  kinds: { images: {}, rasters: null },
}
