/**
 * Target of a group of bands: its patches, raw or normalised, and the error of its head. Pixels without data are excluded from both
 * statistics and error.
 */
import { call } from '../tensor/call.ts'
import {
  abs,
  add,
  div,
  expand,
  meanOver,
  mul,
  reshape,
  sqrt,
  square,
  sub,
  sum,
  toDtype,
  varianceOver,
} from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'

/**
 * Statistics for the normalisation of a patch: `group`, over all bands of the group; `band`, of each band; `all`, over all bands of the
 * image at that place, as in the released SatMAE.
 */
export const bandStatistics = ['group', 'band', 'all'] as const
export type BandStatistics = (typeof bandStatistics)[number]

/** The patches of one group at n places. */
export interface BandPatches {
  /** [n, P·P·|g|] */
  readonly own: Tensor
  /** [n, P·P·C], those of all bands there; asked for by `all`. */
  readonly every: () => Tensor
  /** [n, P·P, C] 1 for values of `every` that may be looked at, where that is not all that hold data. */
  readonly seen?: Tensor
  /** [n, P·P] 1 where there is data, else 0; null where there is everywhere. */
  readonly valid: Tensor | null
  /** P·P */
  readonly pixels: number
}

export interface MeanAndDeviation {
  readonly mean: Tensor
  readonly deviation: Tensor
}

const epsilon = 1e-6 // as of the pixel target

const sumOver = (x: Tensor, dims: readonly number[]) => call('sum.dim_IntList', x, dims, true, null)

/** Mean and deviation of x [n, P·P, c] over `dims`, of the values that `weights` [n, P·P, 1 or c] says are there. The variance is unbiased. */
function momentsOf(x: Tensor, dims: readonly number[], weights: Tensor | null): MeanAndDeviation {
  const deviationOf = (variance: Tensor) => sqrt(add(variance, epsilon))
  if (!weights)
    return {
      mean: meanOver(x, dims, true),
      deviation: deviationOf(varianceOver(x, dims, { unbiased: true, keepDim: true })),
    }
  const count = sumOver(expand(weights, x.shape), dims) // [n, 1, 1 or c]
  const mean = div(sumOver(mul(x, weights), dims), call('clamp', count, 1, null))
  const squares = sumOver(mul(square(sub(x, mean)), weights), dims)
  return { mean, deviation: deviationOf(div(squares, call('clamp', sub(count, 1), 1, null))) }
}

const weightsOfPixels = ({ valid, pixels }: BandPatches): Tensor | null =>
  valid && reshape(valid, [valid.shape[0]!, pixels, 1])

const byPixel = (x: Tensor, pixels: number) => {
  const [n, width] = x.shape as readonly [number, number]
  return reshape(x, [n, pixels, width / pixels])
}

/** What normalises the patches, broadcastable to [n, P·P, |g|]. */
export function bandMoments(patches: BandPatches, statistics: BandStatistics): MeanAndDeviation {
  const { own, every, pixels, seen } = patches
  const from = byPixel(statistics === 'all' ? every() : own, pixels)
  return scope(() => {
    const valid = weightsOfPixels(patches)
    const isPartly = statistics === 'all' && seen
    const weights = isPartly ? (valid ? mul(seen, valid) : seen) : valid
    return momentsOf(from, statistics === 'band' ? [1] : [1, 2], weights)
  })
}

/** What a head should say of its patches, [n, P·P, |g|]: raw when `statistics` is null. */
export function bandTarget(patches: BandPatches, statistics: BandStatistics | null): Tensor {
  const own = byPixel(patches.own, patches.pixels)
  if (statistics === null) return own
  return scope(() => {
    const { mean, deviation } = bandMoments(patches, statistics)
    return div(sub(own, mean), deviation)
  })
}

/** The sum of the tokens' errors, and how many of them were counted: both scalars. */
export interface ErrorSum {
  readonly sum: Tensor
  readonly count: Tensor | number
}

/** Of the differences between prediction and target. */
export const pixelErrors = { squared: square, absolute: abs } as const
export type PixelError = keyof typeof pixelErrors

/** [n, P·P, |g|] */
function errorsOf(
  predicted: Tensor,
  patches: BandPatches,
  statistics: BandStatistics | null,
  error: PixelError = 'squared',
): Tensor {
  const target = bandTarget(patches, statistics)
  const said = byPixel(toDtype(predicted, 'float32'), patches.pixels)
  return pixelErrors[error](sub(said, target))
}

type ErrorInputs = Parameters<typeof errorsOf>

/** The error of each token [n] of a prediction [n, P·P·|g|]; values that are not there are 0. */
export const bandErrors = (...inputs: ErrorInputs): Tensor =>
  scope(() => {
    const weights = weightsOfPixels(inputs[1])
    const errors = errorsOf(...inputs)
    return meanOver(weights ? mul(errors, weights) : errors, [1, 2])
  })

/**
 * The error of a prediction [n, P·P·|g|]. That of a token is the mean over its values that are there, so that a group of few bands
 * counts as much as one of many; a token without any does not count.
 */
export function bandError(...inputs: ErrorInputs): ErrorSum {
  const [, patches] = inputs
  return scope(() => {
    const errors = errorsOf(...inputs)
    const [n, , bands] = errors.shape as readonly [number, number, number]
    const weights = weightsOfPixels(patches)
    if (!weights) return { sum: mul(sum(errors), 1 / (patches.pixels * bands)), count: n }
    const counts = mul(sumOver(weights, [1]), bands) // [n, 1, 1]
    const tokens = div(sumOver(mul(errors, weights), [1, 2]), call('clamp', counts, 1, null))
    return { sum: sum(tokens), count: sum(toDtype(call('gt.Scalar', counts, 0), 'float32')) }
  })
}

/** The mean error of all tokens that counted. */
export function meanError(errors: readonly ErrorSum[]): Tensor {
  return scope(() => {
    const total = errors.map((each) => each.sum).reduce((a, b) => add(a, b))
    const counts = errors.map(({ count }) => count)
    const known = counts.reduce<number | null>(
      (n, count) => (typeof count === 'number' && n !== null ? n + count : null),
      0,
    )
    if (known !== null) return mul(total, 1 / Math.max(known, 1))
    const all = counts.reduce((a, b) => (typeof a === 'number' ? add(b as Tensor, a) : add(a, b))) as Tensor
    return div(total, call('clamp', all, 1, null))
  })
}
