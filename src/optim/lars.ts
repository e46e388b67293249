/**
 * LARS (You et al. 2017, equation 6 and algorithm 1) as in MoCo v3 and MAE: the update of a matrix, including decay, is scaled by the ratio
 * of the matrix's norm to its own; tensors of fewer dimensions are neither scaled nor decayed. For SimCLR, and for MAE's linear probe over
 * a stack of independent models with a rate each.
 */
import { call, callInPlace } from '../tensor/call.ts'
import { add, mul, reshape } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { makeOptimizer, type Optimizer } from './optimizer.ts'
import { momentumSlots, moveByMomentum } from './sgd.ts'

/** Euclidean norms of the `count` models stacked in the first dimension of x: [count, 1, …]. */
const norms = (x: Tensor, count: number) =>
  reshape(call('linalg_vector_norm', reshape(x, [count, -1]), 2, [1], false), [
    count,
    ...x.shape.slice(1).map(() => 1),
  ])

/** update · trust · ‖parameter‖ / ‖update‖ for each of `count` models; the update itself if a norm is 0. */
function scaledByTrust(
  update: Tensor,
  parameter: Tensor,
  { trust, count }: { trust: number; count: number },
): Tensor {
  const [size, change] = [norms(parameter, count), norms(update, count)]
  const ratio = call('div.Tensor', mul(size, trust), change)
  const applies = call('logical_and', call('gt.Scalar', size, 0), call('gt.Scalar', change, 0))
  return mul(update, call('where.ScalarOther', applies, ratio, 1))
}

export interface LarsOptions {
  readonly momentum: number
  readonly trustCoefficient: number
}

export const lars = ({ momentum, trustCoefficient: trust }: LarsOptions): Optimizer =>
  makeOptimizer(momentumSlots, (group) => {
    const updates = group.parameters.map((parameter, i) => {
      const gradient = group.gradients[i]!
      if (parameter.shape.length < 2) return gradient
      const update = group.decay === 0 ? gradient : add(gradient, mul(parameter, group.decay))
      return scaledByTrust(update, parameter, { trust, count: 1 })
    })
    moveByMomentum(group, updates, momentum)
  })

export interface MomentumOptions {
  readonly momentum: number
  readonly weightDecay: number
  /** The trust coefficient of LARS; null: SGD with momentum. */
  readonly trust: number | null
}

/**
 * One step of a stack [L, …], in place: updates `velocity`, then `parameter` by `rates` [L, 1, 1] · velocity. Matrices are decayed and
 * scaled; biases [L, 1, C] are not, as in the reference.
 */
export function momentumStep(
  {
    parameter,
    velocity,
    gradient,
    isMatrix,
  }: { parameter: Tensor; velocity: Tensor; gradient: Tensor; isMatrix: boolean },
  rates: Tensor,
  { momentum, weightDecay, trust }: MomentumOptions,
): void {
  scope(() => {
    let update = gradient
    if (isMatrix && weightDecay > 0) update = add(update, mul(parameter, weightDecay))
    if (isMatrix && trust !== null)
      update = scaledByTrust(update, parameter, { trust, count: parameter.shape[0]! })
    callInPlace('mul_.Scalar', velocity, momentum)
    callInPlace('add_.Tensor', velocity, update)
    callInPlace('sub_.Tensor', parameter, mul(velocity, rates))
  })
}
