/**
 * Pixels as the target: of hidden patches, normalised or not; in the order of the released SatMAE; or with larger pictures of SatMAE++. Its
 * keys in the group `target`, and its row.
 */
import { z } from 'zod'
import { SherdError } from '../errors.ts'
import { type BandStatistics, bandStatistics } from './band-pixels.ts'
import { bandPixels } from './band-target.ts'
import { releasedPixels } from './released-order.ts'
import { type ScalesTarget, scaledPixels } from './scales.ts'
import { simmimPixels } from './simmim-pixels.ts'
import type { TargetMaker } from './target.ts'
import { type PixelForm, targetRow } from './target-row.ts'

export interface PixelOptions {
  /** Whether patches are normalised by their own statistics; by default they are. */
  readonly normalize?: boolean
  /** By which; `group` by default. */
  readonly statistics?: BandStatistics
  /** Larger pictures that are rebuilt, too; none by default. */
  readonly scales?: ScalesTarget | null
  /** `satmae`: bands in the order in which the released code has them (`released-order.ts`). */
  readonly compat?: 'satmae' | null
  /** `simmim`: absolute errors, and heads with the channel first (`simmim-pixels.ts`); by default MAE's squared errors. */
  readonly form?: PixelForm
}

/** Throws `VALUE` for options that exclude each other. */
export function predictPixels({
  normalize = true,
  statistics = 'group',
  scales = null,
  compat = null,
  form = 'mae',
}: PixelOptions = {}): TargetMaker {
  if (scales && (normalize || compat))
    throw new SherdError(
      'VALUE',
      'target.scales: pictures of several sizes have no patches to be normalised by: set target.normalize to false, and no decoder.compat',
    )
  if (form === 'simmim') {
    if (scales || compat)
      throw new SherdError(
        'VALUE',
        'target.scales: SimMIM predicts patches at their own size alone: leave it out',
      )
    return (space) => simmimPixels(normalize ? statistics : null, space)
  }
  if (scales) return (space) => scaledPixels(scales, space)
  if (compat) return (space) => releasedPixels(normalize, space)
  return (space) => bandPixels(normalize ? statistics : null, space)
}

export const pixelTargetRow = targetRow({
  keys: {
    normalize: z
      .boolean()
      .default(true)
      .describe('predict patches normalised by their own mean and variance'),
    statistics: z
      .enum(bandStatistics)
      .default('group')
      .describe("those of the group's patch, of each band's, or of all bands at the place"),
    scales: z
      .array(z.int().min(1).max(64))
      .min(1)
      .max(8)
      .nullable()
      .default(null)
      .describe('larger pictures to rebuild, too (SatMAE++): [2] or [2, 4]; needs target.normalize false'),
    scalesWidth: z.int().min(1).max(4096).default(64).describe('channels of the convolutions that enlarge'),
  },
  open: ({ normalize, statistics, scales, scalesWidth: width }, { compat, pixels: form = 'mae' }) =>
    predictPixels({ normalize, statistics, compat, form, scales: scales && { scales, width } }),
  wholeSamples: ({ scales }) => (scales ? 'target.scales' : null),
  inWords: ({ normalize }) => (normalize ? "each patch's own normalised pixels" : 'pixels'),
})
