/**
 * Mask plans: the kept and hidden patches of a batch. Counts are equal in every row, so that a batch is rectangular. Semantics of
 * `reference/FORMAT.md`: the K patches of lowest noise are kept, in ascending order of noise (He et al. 2021, appendix A.1).
 */
import { SherdError } from '../errors.ts'
import { isSeed, streamNumber } from '../random/draws.ts'
import { call } from '../tensor/call.ts'
import { arange, argsort, cat, expand, narrow, ones, scatterValue, toDevice } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import { type Device, fromArray, type Tensor, tensor } from '../tensor/tensor.ts'

/** Indices are int64 patch numbers in [0, N). `kept` and `hidden` together are every patch once. */
export interface MaskPlan {
  /** [B, K] the patches the encoder sees, in the order it sees them. */
  readonly kept: Tensor
  /** [B, M] the patches to rebuild. */
  readonly hidden: Tensor
  /** [B, N] where patch n went in the sequence `kept` then `hidden`. */
  readonly restore: Tensor
}

/** Of permutations [B, N]; a second sort would give the same in twice the time. */
export function inverseOf(order: Tensor): Tensor {
  const places = expand(arange(order.shape[1]!, { dtype: 'int64', device: order.device }), order.shape)
  return call('scatter.src', order, 1, order, places)
}

/** The plan that keeps the `kept` patches of lowest noise. noise [B, N] float; equal noise keeps the lower patch number. */
export function planFromNoise(noise: Tensor, kept: number): MaskPlan {
  const [, N] = expectShape(noise, ['B', 'N'], 'planFromNoise: noise')
  if (!(Number.isInteger(kept) && kept >= 1 && kept < N)) {
    throw new SherdError('VALUE', `planFromNoise: expected 1 ≤ kept < N = ${N}, got ${kept}`)
  }
  return scope(() => {
    const order = argsort(noise, 1) // [B, N]
    return {
      kept: narrow(order, 1, 0, kept),
      hidden: narrow(order, 1, kept, N - kept),
      restore: inverseOf(order),
    }
  })
}

/** The plan that sees the patches `kept` [B, K] and rebuilds `hidden` [B, M], int64: together every patch once. */
export const planFromIndices = (kept: Tensor, hidden: Tensor): MaskPlan =>
  scope(() => ({ kept, hidden, restore: argsort(cat([kept, hidden], 1), 1) }))

/**
 * The plan of a mask that the user drew: `mask[b][n]` true (or 1) hides patch n of image b. Every row must hide the same
 * number of patches. Kept and hidden patches come in row-major order.
 */
export function planFromMask(
  mask: readonly (readonly (boolean | number)[])[],
  device: Device = 'cpu',
): MaskPlan {
  const rows = mask.map((row) => row.map((hidden) => (hidden ? 1 : 0)))
  const N = rows[0]?.length ?? 0
  const kept = rows.map((row) => row.length - row.reduce<number>((count, hidden) => count + hidden, 0))
  const odd = rows.findIndex((row, b) => row.length !== N || kept[b] !== kept[0])
  if (N === 0 || odd >= 0) {
    throw new SherdError(
      'SHAPE',
      N === 0
        ? 'planFromMask: expected at least one row with at least one patch'
        : `planFromMask: row ${odd} has ${rows[odd]!.length} patches and keeps ${kept[odd]}; row 0 has ${N} and keeps ${kept[0]}; all rows must agree`,
    )
  }
  return scope(() => planFromNoise(toDevice(tensor(rows.flat(), [rows.length, N]), device), kept[0]!))
}

/** The samples of a batch: their addresses without seed and stream. */
export interface SampleAddresses {
  readonly epochs: ArrayLike<number>
  readonly indices: ArrayLike<number>
}

/**
 * The noise [B, N] of a batch: row b is a pure function of (seed, `mask`, epoch b, index b), what `draws(…).fill` gives for this
 * address. Throws `VALUE` for a seed that addresses no draws.
 */
export function maskNoise(tokens: number, seed: number, { epochs, indices }: SampleAddresses): Tensor {
  if (!isSeed(seed)) throw new SherdError('VALUE', `maskNoise: expected a seed in [0, 2^53), got ${seed}`)
  const rows = (numbers: ArrayLike<number>) => fromArray(Int32Array.from(numbers), [numbers.length], 'int32')
  return scope(() => call('sherd::uniform', rows(epochs), rows(indices), seed, streamNumber('mask'), tokens))
}

/** The plan as the reference writes it: [B, N] float32, 1 hidden, 0 kept. */
export function maskOf(plan: MaskPlan): Tensor {
  const [B, N] = expectShape(plan.restore, ['B', 'N'], 'maskOf: plan.restore')
  return scope(() => scatterValue(ones([B, N], { device: plan.kept.device }), 1, plan.kept, 0))
}
