/**
 * AdamW (Loshchilov & Hutter 2019) with decay on tensors of two or more dimensions only, as MAE trains (He et al. 2021,
 * A.1). One pass over memory on the CPU.
 */
import { SherdError } from '../errors.ts'
import { elementCount, type Parameters } from '../model/parameters.ts'
import { callInPlace, callMany, hasOperator } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import { type AdamWNumbers, type AdamWTensors, adamWInPlace } from '../tensor/kernels.ts'
import { contiguous, full, zerosLike } from '../tensor/ops.ts'
import { scope, unscoped } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { listKernel } from './gradients.ts'

export interface AdamWOptions {
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly weightDecay: number
  /** What a parameter's learning rate is multiplied by; 1 unless given. */
  readonly scaleOf?: (name: string) => number
}

/** What AdamW remembers; saved with every checkpoint. */
export interface AdamWState {
  /** Steps taken so far. */
  step: number
  /** Running means of the gradients, by parameter name. */
  readonly first: ReadonlyMap<string, Tensor>
  /** Running means of the squared gradients, by parameter name. */
  readonly second: ReadonlyMap<string, Tensor>
}

/** A state of zeros for parameters that were never stepped. */
export function initialAdamW(parameters: Parameters): AdamWState {
  const like = () => new Map([...parameters].map(([name, parameter]) => [name, zerosLike(parameter)]))
  return noGrad(() => unscoped(() => ({ step: 0, first: like(), second: like() })))
}

/** Tensors that are stepped with the same numbers. */
interface Group extends AdamWTensors {
  readonly decays: boolean
  readonly scale: number
}

interface OpenGroup {
  readonly tensors: { readonly [K in keyof AdamWTensors]: Tensor[] }
  elements: number
}

/** The parameters by what they are stepped with, in slices of about `limit` elements. */
function groups(
  parameters: Parameters,
  gradients: readonly Tensor[],
  state: AdamWState,
  { limit, scaleOf }: { limit: number; scaleOf: (name: string) => number },
): Group[] {
  const made: Group[] = []
  const open = new Map<string, OpenGroup>()
  for (const [i, [name, parameter]] of [...parameters].entries()) {
    const [decays, scale, size] = [parameter.shape.length >= 2, scaleOf(name), elementCount(parameter.shape)]
    const key = `${decays} ${scale}`
    let group = open.get(key)
    if (!group || group.elements + size > limit) {
      group = { tensors: { parameters: [], gradients: [], first: [], second: [] }, elements: 0 }
      open.set(key, group)
      made.push({ ...group.tensors, decays, scale })
    }
    group.tensors.parameters.push(parameter)
    group.tensors.gradients.push(gradients[i]!)
    group.tensors.first.push(state.first.get(name)!)
    group.tensors.second.push(state.second.get(name)!)
    group.elements += size
  }
  return made
}

/** The same arithmetic by LibTorch's operators over lists of tensors, for devices that the kernel does not know. */
function composedStep({ parameters, gradients, first, second }: Group, numbers: AdamWNumbers): void {
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

/**
 * The same by LibTorch's fused kernel, on a GPU: told of a step so late that its own bias corrections are 1, it computes just this.
 */
function libraryStep({ parameters, gradients, first, second }: Group, numbers: AdamWNumbers): void {
  const { decay, beta1, beta2, rate, epsilon } = numbers
  const late = full([], 1e9, { device: parameters[0]!.device })
  const weightDecay = rate === 0 ? 0 : (1 - decay) / rate
  const lists = [parameters, gradients.map(contiguous), first, second, [], parameters.map(() => late)]
  callInPlace('_fused_adamw_', ...lists, rate, beta1, beta2, weightDecay, epsilon, false, false)
}

const steps = { native: adamWInPlace, library: libraryStep, composed: composedStep } as const

// A slice bounds the scratch memory of the composed step.
const sliceElements = 1 << 24

/** How a step is computed: in one pass on the CPU, by LibTorch's fused kernel on a GPU, or by operators over lists anywhere. */
export type StepKernel = keyof typeof steps

const stepKernel = (gradients: readonly Tensor[]): StepKernel => {
  const kernel = listKernel(gradients)
  const isOnGpu = gradients[0]?.device.startsWith('cuda') ?? false
  return kernel === 'composed' && isOnGpu && hasOperator('_fused_adamw_') ? 'library' : kernel
}

/** One step: updates parameters and state in place. `gradients` are in the order of `parameters`. */
export function adamWStep(
  parameters: Parameters,
  gradients: readonly Tensor[],
  state: AdamWState,
  {
    learningRate,
    beta1,
    beta2,
    epsilon,
    weightDecay,
    scaleOf = () => 1,
  }: AdamWOptions & { readonly learningRate: number },
  kernel: StepKernel = stepKernel(gradients),
): void {
  if (gradients.length !== parameters.size) {
    throw new SherdError(
      'VALUE',
      `adamWStep: ${parameters.size} parameters but ${gradients.length} gradients`,
    )
  }
  state.step++
  // θ −= lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε), with √(1−β₂ᵗ) moved into the numbers.
  const unbiased1 = 1 - beta1 ** state.step
  const unbiased2 = Math.sqrt(1 - beta2 ** state.step)
  const rate = (learningRate * unbiased2) / unbiased1
  const step = steps[kernel]
  noGrad(() =>
    scope(() => {
      for (const group of groups(parameters, gradients, state, { limit: sliceElements, scaleOf })) {
        const decay = group.decays ? 1 - learningRate * group.scale * weightDecay : 1
        const numbers = { decay, beta1, beta2, rate: rate * group.scale, epsilon: epsilon * unbiased2 }
        scope(() => step(group, numbers))
      }
    }),
  )
}
