/**
 * Relative position bias (BEiT, Bao et al. 2022): a learned number for each head and each offset between two patches, added to the
 * scores of attention. A table of a grid of h × w has (2h − 1)(2w − 1) rows, and three for pairs with a prefix token.
 */
import { call } from '../tensor/call.ts'
import {
  add,
  arange,
  cat,
  full,
  indexSelect,
  mul,
  narrow,
  permute,
  reshape,
  sub,
  unsqueeze,
} from '../tensor/ops.ts'
import type { Device, Shape, Tensor } from '../tensor/tensor.ts'
import { type Grid, tokenCount } from '../token/grid.ts'
import { type OffsetResamplingName, resampleNumbers, resamplePositions } from '../token/resample-positions.ts'
import type { BlocksAttention, TokenPlaces } from './block-attention.ts'
import type { ParameterRow, Weights } from './parameters.ts'

/** One table for all blocks, one for each, or both, which are added. */
export const relativeTables = ['shared', 'per-block', 'both'] as const

export interface RelativePositions {
  readonly tables: (typeof relativeTables)[number]
  /** That the tables are made for; another one gets them resampled. */
  readonly grid: Grid
  /** Default `linear`. */
  readonly resampling?: OffsetResamplingName
}

export const tableName = 'relative_position_bias_table'
export const sharedTable = `rel_pos_bias.${tableName}`
export const ownTable = `attn.${tableName}`

/** Of a table's rows, those of offsets, as a grid. */
export const offsetsOf = ({ h, w }: Grid): Grid => ({ h: 2 * h - 1, w: 2 * w - 1 })
const offsets = (grid: Grid) => tokenCount(offsetsOf(grid))

export const tableRow = (name: string, { grid }: RelativePositions, heads: number): ParameterRow => ({
  name,
  shape: [offsets(grid) + 3, heads],
  initial: 'zeros',
})

/**
 * Which row of the table each pair of tokens has, query by key, of P prefix tokens and the patches of a grid, or those `kept` [B, K]:
 * [1 or B, P + K, P + K]. The last three rows: a prefix token that asks for a patch, a patch that asks for a prefix token, two prefix tokens.
 */
export function pairIndex(grid: Grid, prefix: number, kept: Tensor | null, device: Device): Tensor {
  const N = tokenCount(grid)
  const [B, K] = (kept?.shape ?? [1, N]) as readonly [number, number]
  const places = kept ?? reshape(arange(N, { dtype: 'int64', device }), [1, N])
  const down = call('div.Scalar_mode', places, grid.w, 'floor')
  const across = sub(places, mul(down, grid.w))
  const between = (x: Tensor, side: number) => add(sub(unsqueeze(x, 2), unsqueeze(x, 1)), side - 1)
  const patches = add(mul(between(down, grid.h), 2 * grid.w - 1), between(across, grid.w)) // [B, K, K]
  if (prefix === 0) return patches
  const row = (of: number, shape: Shape) => full(shape, offsets(grid) + of, { dtype: 'int64', device })
  const first = cat([row(2, [B, prefix, prefix]), row(0, [B, prefix, K])], 2)
  return cat([first, cat([row(1, [B, K, prefix]), patches], 2)], 1)
}

/** A table for the patches of another grid; the last three rows stay. */
export function resampleTable(table: Tensor, { grid, resampling }: RelativePositions, to: Grid): Tensor {
  if (grid.h === to.h && grid.w === to.w) return table
  const count = offsets(grid)
  const change = { from: offsetsOf(grid), to: offsetsOf(to), by: resampling ?? 'linear' } as const
  const rows = resamplePositions(narrow(table, 0, 0, count), change)
  return cat([rows, narrow(table, 0, count, 3)], 0)
}

/** The same of numbers [rows, heads] without LibTorch. */
export function resampleTableNumbers(
  table: Float32Array,
  heads: number,
  { grid, resampling }: RelativePositions,
  to: Grid,
): Float32Array {
  if (grid.h === to.h && grid.w === to.w) return table
  const count = offsets(grid) * heads
  const change = { from: offsetsOf(grid), to: offsetsOf(to), by: resampling ?? 'linear' } as const
  const rows = resampleNumbers(table.subarray(0, count), heads, change)
  const made = new Float32Array(rows.length + 3 * heads)
  made.set(rows)
  made.set(table.subarray(count), rows.length)
  return made
}

/** The bias [1 or B, A, M, M] that a table [R, A] gives pairs of tokens. */
export function biasOf(table: Tensor, index: Tensor): Tensor {
  const [B, M] = index.shape as readonly [number, number]
  const rows = indexSelect(table, 0, reshape(index, [B * M * M]))
  return permute(reshape(rows, [B, M, M, table.shape[1]!]), [0, 3, 1, 2])
}

/** What it adds to the attention of every block; `weights` are the encoder's. */
export function relativeAttention(
  relative: RelativePositions,
  weights: Weights,
  { grid, prefix, kept, device }: TokenPlaces,
): BlocksAttention {
  const { tables } = relative
  return {
    given: [pairIndex(grid, prefix, kept, device)],
    bias: (block, [index]) => {
      const parts = [
        ...(tables === 'per-block' ? [] : [weights(sharedTable)]),
        ...(tables === 'shared' ? [] : [block(ownTable)]),
      ]
      return biasOf(
        resampleTable(
          parts.reduce((a, b) => add(a, b)),
          relative,
          grid,
        ),
        index!,
      )
    },
  }
}
