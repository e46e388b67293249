/** Steps of an optimizer on gradients that are made here, as an update without clipping. */
import type { GroupRow } from '../../src/optim/groups.ts'
import { groupsAt } from '../../src/optim/groups.ts'
import type { Optimizer, OptimizerState, StepKernel } from '../../src/optim/optimizer.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'

export interface StepOptions {
  readonly learningRate: number
  readonly weightDecay: number
  readonly groups?: readonly GroupRow[]
  readonly step?: number
}

/** One step. `gradients` are in the order of the parameters; null: none in this step. */
export function take(
  optimizer: Optimizer,
  parameters: ReadonlyMap<string, Tensor>,
  gradients: readonly (Tensor | null)[],
  state: OptimizerState,
  { groups = [], step = 0, ...rates }: StepOptions,
  kernel?: StepKernel,
): void {
  const { ratesOf, frozen } = groupsAt(parameters, groups, { step, epoch: step, ...rates })
  const given = [...parameters.keys()].flatMap((name, i) =>
    gradients[i] && !frozen.has(name) ? [[name, gradients[i]] as const] : [],
  )
  optimizer.step(parameters, new Map(given), state, ratesOf, kernel)
}
