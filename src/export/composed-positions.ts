/**
 * Positions of a grid by operators alone, from the numbers 0, 1, 2 … as a tensor, so that one graph serves every grid: learned ones
 * resampled, turns of queries and keys, relative biases. The model itself computes them on the host, in float64 where that is nearer.
 */
import type { BlocksAttention } from '../model/block-attention.ts'
import { type EncoderDimensions, prefixOf } from '../model/dimensions.ts'
import type { Weights } from '../model/parameters.ts'
import { offsetsOf, ownTable, type RelativePositions, sharedTable } from '../model/relative-position.ts'
import { type RotaryPositions, turning } from '../model/rotary-position.ts'
import { call } from '../tensor/call.ts'
import {
  abs,
  add,
  cat,
  div,
  expand,
  indexSelect,
  matmul,
  mul,
  narrow,
  permute,
  reshape,
  sub,
  toDtype,
  unsqueeze,
} from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { fromArray, type Tensor, tensor } from '../tensor/tensor.ts'
import { geometricOffsets } from '../token/geometric-offsets.ts'
import { type Grid, tokenCount } from '../token/grid.ts'
import { prefixLength } from '../token/prefix.ts'
import {
  type GridChange,
  type Resampling,
  type ResamplingName,
  resamplings,
} from '../token/resample-positions.ts'

/** How many numbers an encoder needs for grids whose sides have at most so many places: no more, so that larger ones fail. */
export const numbersFor = ({ variant }: EncoderDimensions, places: number): number =>
  variant?.relativePositions ? 2 * places : places + 1

/**
 * Where the offsets of a table lie for grids of 0 … `places` rows or columns, [places + 1, rows + columns of the table]; null where offsets
 * are spread evenly.
 */
export function spreadFor(
  { variant }: EncoderDimensions,
  places: number,
): { readonly values: Float32Array; readonly shape: readonly [number, number] } | null {
  const { grid, resampling } = variant?.relativePositions ?? {}
  if (!grid || resampling !== 'geometric') return null
  const sides = Object.values(offsetsOf(grid))
  const rows = Array.from({ length: places + 1 }, (_, to) =>
    sides.flatMap((from) => geometricOffsets(from, Math.max(1, 2 * to - 1))),
  )
  return { values: Float32Array.from(rows.flat()), shape: [rows.length, sides[0]! + sides[1]!] }
}

export interface PlaceNumbers {
  /** 0, 1, 2 … */
  readonly numbers: Tensor
  /** Of `spreadFor`. */
  readonly spread?: Tensor | undefined
}

/** The place n as a tensor [1]. */
const numberAt = (numbers: Tensor, n: number) => narrow(numbers, 0, n, 1)
const floats = (x: Tensor) => toDtype(x, 'float32')
const clamped = (x: Tensor, low: number, high: number | null) => call('clamp', x, low, high)

/** A side of a table and of what it becomes. */
interface Side {
  readonly from: number
  readonly to: number
}

/** The places of a side whose numbers count, with the edges repeated where they lie outside. */
const tapsOf = (from: number, { kernel, antialias }: Resampling): number[] => {
  const beyond = antialias ? 0 : kernel.length
  return Array.from({ length: from + 2 * beyond }, (_, i) => i - beyond)
}

/** `sideWeights` as a tensor [to, taps]. `offset` [1] is added to the new places where the scale is computed. */
function tapWeights(numbers: Tensor, { from, to }: Side, by: Resampling, offset: Tensor | null): Tensor {
  const { kernel, antialias } = by
  const places = floats(numberAt(numbers, to))
  const scale = div(tensor([from], [1]), offset ? add(places, offset) : places)
  const centres = sub(mul(add(floats(narrow(numbers, 0, 0, to)), 0.5), scale), 0.5)
  const taps = tapsOf(from, by)
  const away = abs(sub(tensor(taps, [1, taps.length]), unsqueeze(centres, 1)))
  const distance = antialias ? div(away, clamped(scale, 1, null)) : away
  // Each piece of a kernel is 0 at its end, so that all of them can be added.
  const weights = kernel
    .map((factors, unit) => {
      const x = clamped(distance, unit, unit + 1)
      const [highest, ...lower] = [...factors].reverse() as [number, ...number[]]
      return lower.slice(1).reduce((sum, factor) => add(mul(sum, x), factor), add(mul(x, highest), lower[0]!))
    })
    .reduce((a, b) => add(a, b))
  return antialias ? div(weights, call('sum.dim_IntList', weights, [1], true, null)) : weights
}

/** [1]: 0 where the grid stays as it is, else 1. */
const differing = (numbers: Tensor, { from, to }: Pick<GridChange, 'from' | 'to'>) => {
  const sides = (['h', 'w'] as const).map((side) => abs(sub(floats(numberAt(numbers, to[side])), from[side])))
  return clamped(
    sides.reduce((a, b) => add(a, b)),
    0,
    1,
  )
}

/** The weights of both sides, [h, taps] and [w, taps]. */
function weightsFor(numbers: Tensor, change: GridChange<ResamplingName>): readonly [Tensor, Tensor] {
  const { from, to, by } = change
  const how = resamplings[by]
  const offset = how.offset === 0 ? null : mul(differing(numbers, change), how.offset)
  return [
    tapWeights(numbers, { from: from.h, to: to.h }, how, offset),
    tapWeights(numbers, { from: from.w, to: to.w }, how, offset),
  ]
}

/** `geometricWeights` of one side as a tensor [to, from], from where the old offsets lie, [from]. */
function spreadWeights(numbers: Tensor, to: number, places: Tensor): Tensor {
  const [n] = places.shape as readonly [number]
  const at = (i: number, count: number) => narrow(places, 0, i, count)
  const offsets = sub(floats(narrow(numbers, 0, 0, to)), floats(numberAt(numbers, (to - 1) / 2)))
  const within = call('minimum', call('maximum', offsets, at(0, 1)), at(n - 1, 1))
  const before = cat([sub(at(0, 1), 1), at(0, n - 1)], 0)
  const behind = cat([at(1, n - 1), add(at(n - 1, 1), 1)], 0)
  const x = unsqueeze(within, 1)
  const rising = clamped(div(sub(x, before), sub(places, before)), 0, 1)
  const falling = clamped(div(sub(behind, x), sub(behind, places)), 0, 1)
  return mul(rising, falling)
}

/** Of both sides of a table of offsets. */
function geometricFor(
  numbers: Tensor,
  spread: Tensor,
  { from, to }: Pick<GridChange, 'from' | 'to'>,
): readonly [Tensor, Tensor] {
  const differs = differing(numbers, { from, to })
  const weights = (side: 'h' | 'w', first: number) => {
    const grid = (to[side] + 1) / 2
    const row = reshape(indexSelect(spread, 0, numberAt(numbers, grid)), [from.h + from.w])
    const even = tensor(
      Array.from({ length: from[side] }, (_, i) => i - (from[side] - 1) / 2),
      [from[side]],
    )
    const moved = mul(sub(narrow(row, 0, first, from[side]), even), differs)
    return spreadWeights(numbers, to[side], add(even, moved))
  }
  return [weights('h', 0), weights('w', from.h)]
}

const indices = (values: readonly number[]) =>
  fromArray(BigInt64Array.from(values, BigInt), [values.length], 'int64')

/** A constant table [h · w, D] of one grid for another, [h′ · w′, D]. */
function resampled(table: Tensor, { from, to, by }: GridChange, [rows, columns]: readonly Tensor[]): Tensor {
  const D = table.shape[1]!
  const taps = (side: number) =>
    by === 'geometric' ? Array.from({ length: side }, (_, i) => i) : tapsOf(side, resamplings[by])
  const at = (side: number) => indices(taps(side).map((i) => Math.min(side - 1, Math.max(0, i))))
  const [tall, wide] = [at(from.h), at(from.w)]
  const padded = indexSelect(indexSelect(reshape(table, [from.h, from.w, D]), 0, tall), 1, wide)
  const [H, W] = padded.shape as readonly [number, number]
  // Of three dimensions: products with matrices are what int8 rounds, and positions are none of them.
  const ofRows = reshape(matmul(rows!, reshape(padded, [1, H, W * D])), [to.h, W, D])
  return reshape(matmul(columns!, ofRows), [to.h * to.w, D])
}

/** `resamplePositions` of a table without rows of prefix tokens, [N, D]. */
export const composedTable = (table: Tensor, numbers: Tensor, change: GridChange<ResamplingName>): Tensor =>
  scope(() => resampled(table, change, weightsFor(numbers, change)))

/** A vector for each row and each column [h, n], [w, n] as two of each place, [h · w, 2 n]. */
function atPlaces(ofRows: Tensor, ofColumns: Tensor, { h, w }: Grid): Tensor {
  const n = ofRows.shape[1]!
  const both = [
    expand(reshape(ofRows, [h, 1, n]), [h, w, n]),
    expand(reshape(ofColumns, [1, w, n]), [h, w, n]),
  ]
  return reshape(cat(both, 2), [h * w, 2 * n])
}

function composedTurning(
  { periods }: RotaryPositions,
  numbers: Tensor,
  { grid, prefix }: { readonly grid: Grid; readonly prefix: number },
): BlocksAttention {
  const n = periods.length
  const turns = tensor(
    periods.map((period) => (2 * Math.PI) / period),
    [1, n],
  )
  const angles = (places: number) => {
    const middle = add(mul(floats(narrow(numbers, 0, 0, places)), 2), 1)
    return mul(unsqueeze(sub(div(middle, floats(numberAt(numbers, places))), 1), 1), turns)
  }
  const [rows, columns] = [angles(grid.h), angles(grid.w)]
  const table = (of: 'cos' | 'sin') => {
    const half = atPlaces(call(of, rows), call(of, columns), grid)
    return reshape(cat([half, half], 1), [1, 1, tokenCount(grid), 4 * n])
  }
  return turning([table('cos'), table('sin')], prefix)
}

const pairsWithPrefix = 3 // rows of a table behind those of offsets

/** `pairIndex` for tables whose last three rows have come first. */
function composedPairs(numbers: Tensor, { h, w }: Grid, prefix: number): Tensor {
  const N = h * w
  const row = (place: number, shape: readonly number[]) => expand(numberAt(numbers, place), shape)
  const down = expand(reshape(narrow(numbers, 0, 0, h), [h, 1]), [h, w])
  const across = expand(reshape(narrow(numbers, 0, 0, w), [1, w]), [h, w])
  const between = (x: Tensor, side: number) => {
    const flat = reshape(x, [N])
    return add(sub(unsqueeze(flat, 1), unsqueeze(flat, 0)), numberAt(numbers, side - 1))
  }
  const offsets = add(mul(between(down, h), numberAt(numbers, 2 * w - 1)), between(across, w))
  const patches = add(offsets, pairsWithPrefix)
  if (prefix === 0) return patches
  const first = cat([row(2, [prefix, prefix]), row(0, [prefix, N])], 1)
  return cat([first, cat([row(1, [N, prefix]), patches], 1)], 0)
}

function composedBias(
  { tables, grid: own, resampling: by = 'linear' }: RelativePositions,
  { numbers, spread }: PlaceNumbers,
  { grid, prefix, weights }: { readonly grid: Grid; readonly prefix: number; readonly weights: Weights },
): BlocksAttention {
  const sides = { from: offsetsOf(own), to: offsetsOf(grid) }
  const change = { ...sides, by }
  const biasOf = (table: Tensor, given: readonly Tensor[]) => {
    const count = tokenCount(change.from)
    const places = resampled(narrow(table, 0, 0, count), change, given)
    const all = cat([narrow(table, 0, count, pairsWithPrefix), places], 0)
    return unsqueeze(permute(call('embedding', all, given[2]!, -1, false, false), [2, 0, 1]), 0)
  }
  const ofSides =
    by === 'geometric' ? geometricFor(numbers, spread!, sides) : weightsFor(numbers, { ...sides, by })
  const given = [...ofSides, composedPairs(numbers, grid, prefix)]
  if (tables === 'shared') return { given: [biasOf(weights(sharedTable), given)], bias: (_, [bias]) => bias! }
  const tableOf = (block: Weights) =>
    tables === 'both' ? add(weights(sharedTable), block(ownTable)) : block(ownTable)
  return { given, bias: (block, more) => biasOf(tableOf(block), more) }
}

/** Relative or rotary positions of an encoder on a grid; undefined for one without. Called inside a scope. */
export function composedAttention(
  dimensions: EncoderDimensions,
  given: PlaceNumbers,
  { grid, weights }: { readonly grid: Grid; readonly weights: Weights },
): BlocksAttention | undefined {
  const { relativePositions: relative, rotaryPositions: rotary } = dimensions.variant ?? {}
  const prefix = prefixLength(prefixOf(dimensions))
  if (relative) return composedBias(relative, given, { grid, prefix, weights })
  return rotary ? composedTurning(rotary, given.numbers, { grid, prefix }) : undefined
}
