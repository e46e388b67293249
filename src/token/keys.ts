/** The configuration's keys of masks, in the group `mask`. */
import { z } from 'zod'
import { sharings } from './mask-design.ts'

export const maskKeys = {
  ratio: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.75)
    .describe('share of patches that are hidden; ⌊N · (1 − ratio)⌋ are kept'),
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
