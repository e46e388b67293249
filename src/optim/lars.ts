/**
 * LARS (You et al. 2017), the optimizer of MAE's linear probe: the step of a matrix is scaled by the ratio of its norm to
 * that of its gradient. Here over a stack of independent models, each with its own rate, in one pass.
 */
import { call, callInPlace } from '../tensor/call.ts'
import { add, mul, reshape } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'

export interface MomentumOptions {
  readonly momentum: number
  readonly weightDecay: number
  /** The trust coefficient of LARS; `null` is plain SGD with momentum. */
  readonly trust: number | null
}

const norms = (x: Tensor) =>
  reshape(call('linalg_vector_norm', reshape(x, [x.shape[0]!, -1]), 2, [1], false), [x.shape[0]!, 1, 1])

/**
 * One step of a stack [L, …], in place: `velocity` takes in the gradient, `parameter` moves by `rates` [L, 1, 1] · velocity.
 * Matrices (three dimensions with the stack's) decay and are scaled; biases [L, 1, C] are not, as in the reference.
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
    if (isMatrix && trust !== null) {
      const [size, change] = [norms(parameter), norms(update)]
      const ratio = call('div.Tensor', mul(size, trust), change)
      const applies = call('logical_and', call('gt.Scalar', size, 0), call('gt.Scalar', change, 0))
      update = mul(update, call('where.ScalarOther', applies, ratio, 1))
    }
    callInPlace('mul_.Scalar', velocity, momentum)
    callInPlace('add_.Tensor', velocity, update)
    callInPlace('sub_.Tensor', parameter, mul(velocity, rates))
  })
}
