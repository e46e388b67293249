/**
 * Stochastic gradient descent with momentum (Sutskever et al. 2013, section 2, with the rate outside the velocity), the decay in the
 * gradient, as `torch.optim.SGD(momentum=…, weight_decay=…)`: no dampening, no Nesterov step.
 */
import { callInPlace, callMany } from '../tensor/call.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type Group, makeOptimizer, type Optimizer } from './optimizer.ts'

export interface SgdOptions {
  readonly momentum: number
}

/** PyTorch's name. */
export const momentumSlots = ['momentum_buffer'] as const

/** gradient + decay · parameter, of each. */
export const decayedGradients = ({ parameters, gradients, decay }: Omit<Group, 'slots'>): Tensor[] =>
  decay === 0 ? gradients : (callMany('_foreach_add.List', gradients, parameters, decay) as Tensor[])

/** velocity ← momentum · velocity + update; parameter ← parameter − rate · velocity. */
export function moveByMomentum(
  { parameters, slots, rate }: Pick<Group<(typeof momentumSlots)[number]>, 'parameters' | 'slots' | 'rate'>,
  updates: readonly Tensor[],
  momentum: number,
): void {
  callInPlace('_foreach_mul_.Scalar', slots.momentum_buffer, momentum)
  callInPlace('_foreach_add_.List', slots.momentum_buffer, updates, 1)
  callInPlace('_foreach_add_.List', parameters, slots.momentum_buffer, -rate)
}

export const sgd = ({ momentum }: SgdOptions): Optimizer =>
  makeOptimizer(momentumSlots, (group) => moveByMomentum(group, decayedGradients(group), momentum))
