/**
 * Mask plans: the kept and hidden patches of a batch, and those that are neither. Where samples differ in counts, rows are padded, so that a
 * batch is rectangular. Semantics of `reference/FORMAT.md`: the K patches of lowest noise are kept, in ascending order of noise (He et al.
 * 2021, appendix A.1).
 */
import { SherdError } from '../errors.ts'
import { isSeed, streamNumber } from '../random/draws.ts'
import { call } from '../tensor/call.ts'
import {
  add,
  arange,
  argsort,
  cat,
  expand,
  gather,
  indexSelect,
  mul,
  narrow,
  reshape,
  sub,
  toDevice,
  toDtype,
} from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import { type Device, fromArray, type Tensor, tensor, toFloats } from '../tensor/tensor.ts'

/** Indices are int64 patch numbers in [0, N). Without padding `kept`, `hidden` and `thrown` together are every patch once. */
export interface MaskPlan {
  /** [B, K] the patches the encoder sees, in the order it sees them. */
  readonly kept: Tensor
  /** [B, M] the patches to rebuild. */
  readonly hidden: Tensor
  /** [B, R] patches that are neither seen nor rebuilt; by default none. */
  readonly thrown?: Tensor
  /** [B, N] where patch n went in the sequence `kept`, `hidden`, `thrown`. */
  readonly restore: Tensor
  /** Where samples differ in counts; by default all is real. */
  readonly real?: RealTokens
  /** Features of the target's teacher [B, N, W], where the mask was chosen from the same pass (`Target.taught`). */
  readonly taught?: readonly Tensor[]
}

/** 1 for entries that are the plan's, 0 for padding, which repeats another patch of the sample. */
export interface RealTokens {
  /** [B, K] */
  readonly kept: Tensor
  /** [B, M] */
  readonly hidden: Tensor
}

/** Of permutations [B, N]; a second sort would give the same in twice the time. */
export function inverseOf(order: Tensor): Tensor {
  const places = expand(arange(order.shape[1]!, { dtype: 'int64', device: order.device }), order.shape)
  return call('scatter.src', order, 1, order, places)
}

/**
 * The plan that keeps the `kept` patches of lowest noise, throws the next `thrown` and hides the rest. noise [B, N] float; equal noise keeps
 * the lower patch number.
 */
export function planFromNoise(noise: Tensor, kept: number, thrown = 0): MaskPlan {
  const [, N] = expectShape(noise, ['B', 'N'], 'planFromNoise: noise')
  if (!(Number.isInteger(kept) && kept >= 1 && kept < N)) {
    throw new SherdError('VALUE', `planFromNoise: expected 1 ≤ kept < N = ${N}, got ${kept}`)
  }
  const hidden = N - kept - thrown
  if (!(Number.isInteger(thrown) && thrown >= 0 && hidden >= 1)) {
    throw new SherdError(
      'VALUE',
      `planFromNoise: expected 0 ≤ thrown < N − kept = ${N - kept}, got ${thrown}`,
    )
  }
  return scope(() => {
    const order = argsort(noise, 1) // [B, N]
    const seen = narrow(order, 1, 0, kept)
    if (thrown === 0) return { kept: seen, hidden: narrow(order, 1, kept, hidden), restore: inverseOf(order) }
    return planFromIndices(seen, narrow(order, 1, kept + thrown, hidden), narrow(order, 1, kept, thrown))
  })
}

/** The plan that sees the patches `kept` [B, K] and rebuilds `hidden` [B, M], int64: with `thrown` [B, R] every patch once. */
export const planFromIndices = (kept: Tensor, hidden: Tensor, thrown?: Tensor): MaskPlan =>
  scope(() => ({
    ...{ kept, hidden, ...(thrown && { thrown }) },
    restore: argsort(cat(thrown ? [kept, hidden, thrown] : [kept, hidden], 1), 1),
  }))

/**
 * The plan that rebuilds only `decoded` of the hidden patches and throws the others. With noise [B, M] it rebuilds those of lowest noise,
 * without it the last ones.
 */
export function decodePart(plan: MaskPlan, decoded: number, noise?: Tensor): MaskPlan {
  const [B, M] = expectShape(plan.hidden, ['B', 'M'], 'decodePart: plan.hidden')
  const K = plan.kept.shape[1]!
  if (decoded >= M) return plan
  return scope(() => {
    const behind = plan.real ? add(mul(plan.real.hidden, -1), 1) : null // padding comes last
    const inTurn = () => {
      const all = arange(M, { dtype: 'int64', device: plan.hidden.device })
      const lastFirst = cat([narrow(all, 0, M - decoded, decoded), narrow(all, 0, 0, M - decoded)], 0)
      return call('contiguous', expand(lastFirst, [B, M]))
    }
    const order = noise ? argsort(behind ? add(noise, behind) : noise, 1) : inTurn()
    const part = (x: Tensor, from: number, count: number) => gather(x, 1, narrow(order, 1, from, count))
    const more = part(plan.hidden, decoded, M - decoded)
    const wasHidden = call(
      'logical_and',
      call('ge.Scalar', plan.restore, K),
      call('lt.Scalar', plan.restore, K + M),
    )
    const place = call('clamp', sub(plan.restore, K), 0, M - 1)
    return {
      ...plan,
      hidden: part(plan.hidden, 0, decoded),
      thrown: plan.thrown ? cat([more, plan.thrown], 1) : more,
      restore: call('where.self', wasHidden, add(gather(inverseOf(order), 1, place), K), plan.restore),
      ...(plan.real && { real: { kept: plan.real.kept, hidden: part(plan.real.hidden, 0, decoded) } }),
    }
  })
}

/**
 * The plan of a mask that the user drew: `mask[b][n]` true (or 1) hides patch n of image b, and −1 throws it: it is neither seen nor rebuilt.
 * Rows may hide different numbers of patches, or none. Patches come in row-major order.
 */
export function planFromMask(
  mask: readonly (readonly (boolean | number)[])[],
  device: Device = 'cpu',
): MaskPlan {
  const N = mask[0]?.length ?? 0
  const odd = mask.findIndex((row) => row.length !== N)
  if (N === 0 || odd >= 0) {
    throw new SherdError(
      'SHAPE',
      N === 0
        ? 'planFromMask: expected at least one row with at least one patch'
        : `planFromMask: row ${odd} has ${mask[odd]!.length} patches, and row 0 has ${N}; all rows must agree`,
    )
  }
  const states = mask.flat().map(Number)
  if (!states.some((state) => state > 0))
    throw new SherdError(
      'VALUE',
      `A mask hides none of ${N} patches in ${mask.length} samples: expected some`,
    )
  return scope(() => planFromStates(toDevice(tensor(states, [mask.length, N]), device)))
}

/**
 * The plan of states [B, N]: 0 seen, 1 hidden, −1 thrown; patches in row-major order. Waits for a GPU. Where nothing at all is hidden, there is
 * padding alone. Throws `VALUE` for a sample that sees nothing.
 */
export function planFromStates(states: Tensor): MaskPlan {
  const [B, N] = expectShape(states, ['B', 'N'], 'planFromStates: states')
  return scope(() => {
    const is = (what: 'eq.Scalar' | 'gt.Scalar' | 'lt.Scalar') => toDtype(call(what, states, 0), 'int64')
    const [seen, hidden, thrown] = [is('eq.Scalar'), is('gt.Scalar'), is('lt.Scalar')]
    const counts = [seen, hidden, thrown].map((part) => call('sum.dim_IntList', part, [1], true, null)) // [B, 1]
    const all = toFloats(toDevice(toDtype(cat(counts, 1), 'float32'), 'cpu'))
    const [kept, masked, rest] = [0, 1, 2].map((part) => all.filter((_, i) => i % 3 === part)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ]
    const [K, M, R] = [kept, masked, rest].map((each) => Math.max(...each)) as [number, number, number]
    const blind = kept.indexOf(0)
    if (blind >= 0)
      throw new SherdError(
        'VALUE',
        `A mask hides all ${N} patches of sample ${blind}: expected one that is seen`,
      )
    const order = argsort(add(hidden, mul(thrown, 2)), 1) // [B, N] seen, hidden, thrown; each part in row-major order
    const [ofKept, ofHidden, ofThrown] = counts as [Tensor, Tensor, Tensor]
    const none = mul(ofKept, 0)
    /** The first `most` from `first` on; those of a sample that has fewer repeat its last one. */
    const part = (first: Tensor, count: Tensor, most: number) => {
      const places = expand(arange(most, { dtype: 'int64', device: states.device }), [B, most])
      const last = call('clamp_min', sub(count, 1), 0)
      const own = call('clamp_max', add(first, call('minimum', places, last)), N - 1)
      return { indices: gather(order, 1, own), real: toDtype(call('lt.Tensor', places, count), 'float32') }
    }
    const first = part(none, ofKept, K)
    const second = part(ofKept, ofHidden, Math.max(1, M))
    const isEven = kept.every((n) => n === K) && masked.every((n) => n === M && n > 0)
    // Padding moves what stands behind it.
    const moved = add(
      mul(sub(mul(ofKept, -1), -K), hidden),
      mul(sub(mul(add(ofKept, ofHidden), -1), -K - Math.max(1, M)), thrown),
    )
    return {
      ...{ kept: first.indices, hidden: second.indices },
      ...(R > 0 && { thrown: part(add(ofKept, ofHidden), ofThrown, R).indices }),
      restore: add(inverseOf(order), moved),
      ...(!isEven && { real: { kept: first.real, hidden: second.real } }),
    }
  })
}

/** The samples of a batch: their addresses without seed and stream. */
export interface SampleAddresses {
  readonly epochs: ArrayLike<number>
  readonly indices: ArrayLike<number>
}

/**
 * The noise [B, N] of a batch: row b is a pure function of (seed, stream, epoch b, index b), what `draws(…).fill` gives for this
 * address. Throws `VALUE` for a seed that addresses no draws.
 */
export function maskNoise(
  tokens: number,
  seed: number,
  { epochs, indices }: SampleAddresses,
  stream = 'mask',
): Tensor {
  if (!isSeed(seed)) throw new SherdError('VALUE', `maskNoise: expected a seed in [0, 2^53), got ${seed}`)
  const rows = (numbers: ArrayLike<number>) => fromArray(Int32Array.from(numbers), [numbers.length], 'int32')
  return scope(() => call('sherd::uniform', rows(epochs), rows(indices), seed, streamNumber(stream), tokens))
}

/** The plan as the reference writes it: [B, N] float32, 0 kept, 1 for all others. */
export function maskOf({ kept, hidden, thrown, restore }: MaskPlan): Tensor {
  expectShape(restore, ['B', 'N'], 'maskOf: plan.restore')
  // Of operators that exported graphs have, too, and of no size but those of the inputs.
  const all = (x: Tensor, value: number) => add(mul(toDtype(x, 'float32'), 0), value)
  return scope(() =>
    gather(
      cat([all(kept, 0), ...[hidden, ...(thrown ? [thrown] : [])].map((x) => all(x, 1))], 1),
      1,
      restore,
    ),
  )
}

/** [B, N] float32, 1 for the patches to rebuild. */
export function hiddenMask(plan: MaskPlan): Tensor {
  if (!plan.thrown) return maskOf(plan)
  const end = plan.kept.shape[1]! + plan.hidden.shape[1]!
  return scope(() => mul(maskOf(plan), toDtype(call('lt.Scalar', plan.restore, end), 'float32')))
}

/** [n] int64: rows b · N + p of the patches to rebuild, among all patches of the batch. */
export function hiddenRows({ hidden, restore, real }: MaskPlan): Tensor {
  const [B, M] = expectShape(hidden, ['B', 'M'], 'hiddenRows: plan.hidden')
  const [, N] = expectShape(restore, [B, 'N'], 'hiddenRows: plan.restore')
  return scope(() => {
    const first = mul(arange(B, { dtype: 'int64', device: hidden.device }), N)
    const rows = reshape(add(hidden, reshape(first, [B, 1])), [B * M])
    return real ? indexSelect(rows, 0, realRows(real.hidden)) : rows
  })
}

/** [n] int64: which of B · M padded entries are real. */
export const realRows = (real: Tensor): Tensor =>
  scope(() => reshape(call('nonzero', reshape(real, [real.shape[0]! * real.shape[1]!])), [-1]))

/** What the encoder does not see, and what is rebuilt, both as `maskOf` gives it: the same tensor where it is the same. */
export function planMasks(plan: MaskPlan): { readonly hidden: Tensor; readonly predicted: Tensor } {
  const hidden = maskOf(plan)
  return { hidden, predicted: plan.thrown ? hiddenMask(plan) : hidden }
}
