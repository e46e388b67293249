/**
 * The positions of tokens that have more than a place: place ⊕ group of bands ⊕ time, one behind the other in a token's width
 * (SatMAE, Cong et al. 2022, sections 3.1 and 3.2). One table for all samples, or one for each where samples differ by their dates or
 * by how large a pixel is on the ground.
 */

import type { View } from '../prepare/view.ts'
import { add, arange, cat, expand, mul, reshape, toDevice } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, type Tensor, tensor } from '../tensor/tensor.ts'
import { tokenCount } from './grid.ts'
import { layoutTokens, type TokenLayout } from './layout.ts'
import type { MaskPlan } from './mask.ts'
import { sineCosinePositions } from './position.ts'
import { sineCosine, type TimeField, timeEncoding } from './sine-cosine.ts'

/** How the width of a token's position is shared out. */
export interface PositionWidths {
  /** D */
  readonly width: number
  /** Of it, for the group; 0 without groups. */
  readonly groupWidth: number
  /** Of it, for each field of the time; 0 without. */
  readonly timeWidth: number
}

export interface PositionOptions {
  readonly layout: TokenLayout
  readonly fields: readonly TimeField[]
  /** Metres a pixel that count as scale 1; null when the scale does not matter. */
  readonly referenceResolution: number | null
}

/** What is left for the place. */
export const placeWidth = ({ width, groupWidth, timeWidth }: PositionWidths, fields: number): number =>
  width - groupWidth - timeWidth * fields

interface SampleFacts {
  readonly scale: number
  /** Of each frame, in milliseconds; null leaves zeros. */
  readonly times: Float64Array | null
}

/** The positions [N, D] of one sample. */
export function samplePositions(
  { layout, fields }: PositionOptions,
  widths: PositionWidths,
  { scale, times }: SampleFacts = { scale: 1, times: null },
): Float32Array {
  const { width, groupWidth, timeWidth } = widths
  const { grid, frames, groups } = layout
  const own = placeWidth(widths, fields.length)
  const locations = tokenCount(grid)
  const places = sineCosinePositions(grid, own, scale)
  const byGroup = Array.from({ length: groups }, (_, g) =>
    groupWidth > 0 ? sineCosine(g, groupWidth) : new Float32Array(0),
  )
  const byFrame = Array.from({ length: frames }, (_, t) =>
    timeEncoding(times?.[t] ?? Number.NaN, fields, timeWidth),
  )
  const table = new Float32Array(layoutTokens(layout) * width)
  let at = 0
  for (const group of byGroup)
    for (const time of byFrame)
      for (let l = 0; l < locations; l++, at += width) {
        table.set(places.subarray(l * own, (l + 1) * own), at)
        table.set(group, at + own)
        table.set(time, at + own + groupWidth)
      }
  return table
}

/**
 * The same table [N, D] from that of the places [L, own], by tensor operations: the group of each token stands behind its place. For
 * tokens without a time.
 */
export function placesInGroups(
  places: Tensor,
  { layout: { frames, groups } }: Pick<PositionOptions, 'layout'>,
  { groupWidth }: Pick<PositionWidths, 'groupWidth'>,
): Tensor {
  const [L, own] = places.shape as readonly [number, number]
  const all = groups * frames
  return scope(() => {
    const copies = expand(reshape(places, [1, L, own]), [all, L, own])
    if (groupWidth === 0) return reshape(copies, [all * L, own])
    const numbers = Array.from({ length: all }, (_, i) => [...sineCosine(Math.floor(i / frames), groupWidth)])
    const encodings = toDevice(tensor(numbers.flat(), [all, 1, groupWidth]), places.device)
    const ofGroups = expand(encodings, [all, L, groupWidth])
    return reshape(cat([copies, ofGroups], 2), [all * L, own + groupWidth])
  })
}

/** Positions to look up. */
export interface Positions {
  /** [N, D] for all samples, or [B · N, D]. */
  readonly table: Tensor
  /** [B, 1] where each sample's rows begin; null when all samples share the table. */
  readonly offsets: Tensor | null
}

/** Token numbers [B, K] → rows of the table. */
export const rowsOf = ({ offsets }: Positions, tokens: Tensor): Tensor =>
  offsets ? add(tokens, offsets) : tokens

/** The same plan in rows of the table, for all that looks positions up. */
export const planInRows = (positions: Positions, { kept, hidden, thrown, ...plan }: MaskPlan): MaskPlan => ({
  ...plan,
  kept: rowsOf(positions, kept),
  hidden: rowsOf(positions, hidden),
  ...(thrown && { thrown: rowsOf(positions, thrown) }),
})

/** Positions [B, N, D] by sample, as numbers; NaN and null: unknown dates and resolutions. */
export function batchPositions(
  options: PositionOptions,
  widths: PositionWidths,
  { times, resolution }: Pick<View, 'times' | 'resolution'>,
  B: number,
): Float32Array {
  const { layout, fields, referenceResolution } = options
  const each = layoutTokens(layout) * widths.width
  const isDated = fields.length > 0 && times !== null
  const isScaled = referenceResolution !== null && resolution !== null
  const all = new Float32Array(B * each)
  for (let b = 0; b < B; b++) {
    const metres = isScaled ? resolution[b]! : Number.NaN
    const own = samplePositions(options, widths, {
      scale: Number.isNaN(metres) ? 1 : metres / referenceResolution!,
      times: isDated ? times.subarray(b * layout.frames, (b + 1) * layout.frames) : null,
    })
    all.set(own, b * each)
  }
  return all
}

/** Gives the positions of a batch. Called inside a scope. */
export type PositionsOf = (view: Pick<View, 'times' | 'resolution'>, batch: number) => Positions

export function openPositions(options: PositionOptions, widths: PositionWidths, device: Device): PositionsOf {
  const { layout, fields, referenceResolution } = options
  const N = layoutTokens(layout)
  const shared = samplePositions(options, widths)
  const onDevice = (values: Float32Array, rows: number) =>
    toDevice(tensor(values, [rows, widths.width]), device)
  return (facts, B) => {
    const isDated = fields.length > 0 && facts.times !== null
    const isScaled = referenceResolution !== null && facts.resolution !== null
    if (!isDated && !isScaled) return { table: onDevice(shared, N), offsets: null }
    return scope(() => {
      const all = batchPositions(options, widths, facts, B)
      const offsets = mul(reshape(arange(B, { dtype: 'int64', device }), [B, 1]), N)
      return { table: onDevice(all, B * N), offsets }
    })
  }
}
