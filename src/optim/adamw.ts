/**
 * AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2), as MAE trains (He et al. 2021, A.1). One pass over
 * memory on the CPU, LibTorch's fused kernel on a GPU.
 */
import { callInPlace, callMany } from '../tensor/call.ts'
import { type AdamWNumbers, type AdamWTensors, adamWInPlace } from '../tensor/kernels.ts'
import { contiguous, full } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type DeviceStep, type Group, makeOptimizer, type Optimizer, type StepKernel } from './optimizer.ts'

export interface AdamOptions {
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
}

/** PyTorch's names. */
export const adamSlots = ['exp_avg', 'exp_avg_sq'] as const

/** By LibTorch's operators over lists of tensors, on any device. */
function composedStep({ parameters, gradients, first, second }: AdamWTensors, numbers: AdamWNumbers): void {
  const { decay, beta1, beta2, rate, epsilon } = numbers
  if (decay !== 1) callInPlace('_foreach_mul_.Scalar', parameters, decay)
  callInPlace('_foreach_mul_.Scalar', first, beta1)
  callInPlace('_foreach_add_.List', first, gradients, 1 - beta1)
  callInPlace('_foreach_mul_.Scalar', second, beta2)
  callInPlace('_foreach_addcmul_.Scalar', second, gradients, gradients, 1 - beta2)
  const denominator = callMany('_foreach_sqrt', second) as Tensor[]
  callInPlace('_foreach_add_.Scalar', denominator, epsilon)
  callInPlace('_foreach_addcdiv_.Scalar', parameters, first, denominator, -rate)
}

/** By LibTorch's fused kernel on a GPU, called with a step so large that its own bias corrections are 1. */
function libraryStep({ parameters, gradients, first, second }: AdamWTensors, numbers: AdamWNumbers): void {
  const { decay, beta1, beta2, rate, epsilon } = numbers
  const late = full([], 1e9, { device: parameters[0]!.device })
  const weightDecay = rate === 0 ? 0 : (1 - decay) / rate
  const lists = [parameters, gradients.map(contiguous), first, second, [], parameters.map(() => late)]
  callInPlace('_fused_adamw_', ...lists, rate, beta1, beta2, weightDecay, epsilon, false, false)
}

const kernels = { native: adamWInPlace, library: libraryStep, composed: composedStep } as const

/** One step of tensors with equal rates, with decoupled decay. */
export function adamStep(
  { parameters, gradients, slots, rate, decay, count }: Group<(typeof adamSlots)[number]>,
  { beta1, beta2, epsilon }: AdamOptions,
  kernel: StepKernel,
): void {
  // θ −= lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε), with √(1−β₂ᵗ) moved into the numbers.
  const unbiased1 = 1 - beta1 ** count
  const unbiased2 = Math.sqrt(1 - beta2 ** count)
  const { exp_avg: first, exp_avg_sq: second } = slots
  const numbers = { beta1, beta2, rate: (rate * unbiased2) / unbiased1, epsilon: epsilon * unbiased2 }
  kernels[kernel]({ parameters, gradients, first, second }, { ...numbers, decay: 1 - rate * decay })
}

/** LibTorch's fused kernel reads rate and count on the device, and corrects the moments itself. */
const onDevice = ({ beta1, beta2, epsilon }: AdamOptions): DeviceStep => ({
  numbersOf: ({ rate, count }) => [rate, count],
  step({ parameters, gradients, slots, decay }, [rate, count], { divisor, skip }) {
    const lists = [parameters, gradients.map(contiguous), ...adamSlots.map((slot) => slots[slot]!), []]
    const counts = parameters.map(() => count)
    const numbers = [beta1, beta2, decay, epsilon, false, false]
    callInPlace('_fused_adamw_.tensor_lr', ...lists, counts, rate, ...numbers, divisor, skip)
  },
})

export const adamw = (options: AdamOptions): Optimizer =>
  makeOptimizer(adamSlots, (group, kernel) => adamStep(group, options, kernel), onDevice(options))
