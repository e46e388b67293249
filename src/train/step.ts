/**
 * The two halves of an optimizer step: collect the gradient of each micro-batch, then update the weights. Accumulating
 * equals the one large batch, because every sample hides the same number of patches.
 */
import { type Parameters, weightsOf } from '../model/parameters.ts'
import type { Learner } from '../objective/objective.ts'
import { expectReached, gradientsOf } from '../optim/gradients.ts'
import type { OptimizerState } from '../optim/optimizer.ts'
import { type UpdateOptions, update } from '../optim/update.ts'
import type { Images } from '../prepare/views.ts'
import { autocast } from '../tensor/context.ts'
import type { DType } from '../tensor/dtype.ts'
import { type Kernels, withKernels } from '../tensor/fused.ts'
import { mul } from '../tensor/ops.ts'
import { backwardRecomputing, withRecompute } from '../tensor/recompute.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, item } from '../tensor/tensor.ts'
import type { MaskPlan } from '../token/mask.ts'
import { type Span, untimed } from './span.ts'

/** The type of matrix products; weights, norms and losses stay in float32. */
export type Precision = Extract<DType, 'float32' | 'bfloat16'>

/** What is being trained, and where. */
export interface Trainee<Plan = MaskPlan, Input = Images> {
  readonly objective: Learner<Plan, Input>
  readonly parameters: Parameters
  /** Parameters that the objective reads and nobody trains. */
  readonly frozen?: Parameters
  readonly optimizer: OptimizerState
  readonly device: Device
  readonly precision: Precision
  /** By default the fused ones, where there are any. */
  readonly kernels?: Kernels
  /** Keep only the ends of each block, and compute the rest again in the backward pass: slower, in less memory. */
  readonly recompute?: boolean
  /** Told of every part of a step; by default nobody is. */
  readonly span?: Span
}

/** The images of a micro-batch, normalised, on the device, and what is hidden or asked of them. */
export interface MicroBatch<Plan = MaskPlan, Input = Images> {
  readonly images: Input
  readonly plan: Plan
}

/**
 * Adds the gradient of one of `parts` equal micro-batches to what the parameters have collected. Returns the loss of the
 * micro-batch. What `make` makes is freed at the end.
 */
export function accumulateGradients<Plan, Input = Images>(
  trainee: Trainee<Plan, Input>,
  make: () => MicroBatch<Plan, Input>,
  parts: number,
): number {
  const { objective, parameters, frozen = new Map(), device, precision } = trainee
  const { kernels = 'fused', span = untimed } = trainee
  const weights = weightsOf(frozen.size > 0 ? new Map([...frozen, ...parameters]) : parameters)
  const collect = () => {
    const { images, plan } = span('upload', make)
    const loss = span('forward', () =>
      withKernels(kernels, () =>
        autocast({ device, dtype: precision }, () => objective.loss(weights, images, plan)),
      ),
    )
    span('backward', () => backwardRecomputing(parts === 1 ? loss : mul(loss, 1 / parts)))
    return item(loss)
  }
  return scope(() => (trainee.recompute ? withRecompute(collect) : collect()))
}

/**
 * Steps the optimizer with the collected gradients. Returns their norm before clipping; when it is not finite, neither
 * weights nor optimizer have changed.
 */
export function applyUpdate(
  { parameters, optimizer }: Pick<Trainee, 'parameters' | 'optimizer'>,
  options: UpdateOptions,
): number {
  return scope(() =>
    update(parameters, expectReached(parameters, gradientsOf(parameters)), optimizer, options),
  )
}
