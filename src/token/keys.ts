/** The configuration's keys of masks, in the group `mask`. */
import { z } from 'zod'
import { sharings } from './mask-design.ts'
import { maskKindNames } from './mask-kinds.ts'

export const maskKeys = {
  kind: z
    .enum(maskKindNames)
    .default('random')
    .describe(
      'which patches are hidden: any (random), rectangles (block), all but a regular grid (grid), cells of several patches (coarse), the middle (centre) or all but the middle (periphery)',
    ),
  ratio: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.75)
    .describe('share of patches that are hidden; ⌊N · (1 − ratio)⌋ are kept'),
  cell: z
    .number()
    .int()
    .min(1)
    .max(16384)
    .default(32)
    .describe('coarse: side in pixels of a cell, a multiple of the sides of a patch'),
  minBlock: z
    .number()
    .int()
    .min(1)
    .max(65536)
    .nullable()
    .default(null)
    .describe('block: patches of the smallest block; null: a fifth of those hidden'),
}

/** Of samples with groups of bands, and with several dates. */
export const rasterMaskKeys = {
  groups: z
    .enum(sharings)
    .default('independent')
    .describe('whether all groups of bands hide the same places (consistent)'),
  frames: z.enum(sharings).default('independent').describe('whether all dates do'),
  perFrame: z
    .boolean()
    .default(false)
    .describe('hide exactly the ratio of every date, and not of all dates together'),
}
