/**
 * One optimizer step: forward and backward of every micro-batch, gradient norm, clipping, AdamW. Accumulating over
 * micro-batches equals the one large batch, because every sample hides the same number of patches.
 */
import { type Parameters, weightsOf } from '../model/parameters.ts'
import type { Objective } from '../objective/objective.ts'
import { type AdamWOptions, type AdamWState, adamWStep } from '../optim/adamw.ts'
import { clipGradients, gradientNorm, gradientsOf } from '../optim/gradients.ts'
import { autocast, backward, clearGradients } from '../tensor/context.ts'
import type { DType } from '../tensor/dtype.ts'
import { mul } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, item, type Tensor } from '../tensor/tensor.ts'
import type { MaskPlan } from '../token/mask.ts'

/** The images of a micro-batch [B, C, H, W], normalised, on the device, and what is hidden of them. */
export interface MicroBatch {
  readonly images: Tensor
  readonly plan: MaskPlan
}

export interface Trainee {
  readonly objective: Objective
  readonly parameters: Parameters
  readonly optimizer: AdamWState
  readonly device: Device
  /** The type of matrix products; weights, norms and losses stay in float32. */
  readonly precision: Extract<DType, 'float32' | 'bfloat16'>
}

export interface StepOptions {
  readonly learningRate: number
  readonly adamW: AdamWOptions
  /** The largest gradient norm; `null` does not clip. */
  readonly clipGradientNorm: number | null
}

export interface StepResult {
  /** The mean over the whole effective batch, before the step. */
  readonly loss: number
  /** Before clipping. */
  readonly gradientNorm: number
}

/**
 * Takes one step. Each micro-batch is made when it is needed and freed before the next. A loss or norm that is not finite
 * is returned as it is, and then neither the weights nor the optimizer have changed.
 */
export function trainingStep(
  { objective, parameters, optimizer, device, precision }: Trainee,
  microBatches: readonly (() => MicroBatch)[],
  { learningRate, adamW, clipGradientNorm }: StepOptions,
): StepResult {
  const weights = weightsOf(parameters)
  clearGradients(parameters.values())
  let total = 0
  for (const make of microBatches) {
    scope(() => {
      const { images, plan } = make()
      const loss = autocast({ device, dtype: precision }, () => objective.loss(weights, images, plan))
      backward(microBatches.length === 1 ? loss : mul(loss, 1 / microBatches.length))
      total += item(loss)
    })
  }
  const loss = total / microBatches.length
  return scope(() => {
    const gradients = gradientsOf(parameters)
    const norm = gradientNorm(gradients)
    if (Number.isFinite(loss) && Number.isFinite(norm)) {
      if (clipGradientNorm !== null) clipGradients(gradients, norm, clipGradientNorm)
      adamWStep(parameters, gradients, optimizer, { ...adamW, learningRate })
    }
    return { loss, gradientNorm: norm }
  })
}
