/** The configuration's keys of masks, in the group `mask`. */
import { z } from 'zod'
import { sharings } from './mask-design.ts'
import { ratioChanges } from './mask-ratio.ts'

const share = () => z.number().gt(0).lt(1)

/** Of kinds that hide a share of the patches; `usual`: the published one. */
const ratioKeys = (usual: number) => ({
  ratio: share().default(usual).describe('share of patches that are hidden; ⌊N · (1 − ratio)⌋ are kept'),
  ratioTo: share()
    .nullable()
    .default(null)
    .describe('another ratio: what mask.ratio changes to, or the other end of its range; null: it stays'),
  ratioSchedule: z
    .enum(ratioChanges)
    .default('linear')
    .describe(
      'how a ratio with mask.ratioTo changes: evenly from the first step to the last (linear), or drawn anew for each step (uniform)',
    ),
})

/** By the kind of mask. */
export function maskKindKeys(usual = 0.75) {
  const ratio = ratioKeys(usual)
  return {
    random: ratio,
    block: {
      ...ratio,
      minBlock: z
        .number()
        .int()
        .min(1)
        .max(65536)
        .nullable()
        .default(null)
        .describe('patches of the smallest block; null: a fifth of those hidden'),
    },
    grid: ratio,
    coarse: {
      ...ratio,
      cell: z
        .number()
        .int()
        .min(1)
        .max(16384)
        .nullable()
        .default(null)
        .describe('side in pixels of a cell, a multiple of the sides of a patch; null: two patches'),
    },
    centre: ratio,
    periphery: ratio,
  }
}

export const maskKeys = maskKindKeys()
export type MaskName = keyof typeof maskKeys
export const maskNames = Object.keys(maskKeys) as [MaskName, ...MaskName[]]

/** Of samples with groups of bands, and with several dates. */
export const rasterMaskKeys = {
  groups: z
    .enum(sharings)
    .default('independent')
    .describe('whether all groups of bands hide the same places (consistent)'),
  frames: z.enum(sharings).default('independent').describe('whether all dates do'),
}

/** Of rasters, by the kind of mask. */
export const rasterMaskKindKeys = {
  random: {
    perFrame: z
      .boolean()
      .default(false)
      .describe('hide exactly the ratio of every date, and not of all dates together'),
  },
}

const readWith = (kind: MaskName): object => ({
  ...maskKeys[kind],
  ...('random' === kind && rasterMaskKindKeys.random),
})

/** Whether a key of the group is read with other kinds, and not with this one. */
export const isOfOtherMask = (key: string, kind: MaskName): boolean =>
  !Object.hasOwn(readWith(kind), key) && maskNames.some((other) => Object.hasOwn(readWith(other), key))
