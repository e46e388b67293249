/**
 * AdamW (Loshchilov & Hutter 2019) with decay on tensors of two or more dimensions only, as MAE trains (He et al. 2021,
 * A.1). The arithmetic runs over lists of tensors, slice by slice.
 */
import { SherdError } from '../errors.ts'
import type { Parameters } from '../model/parameters.ts'
import { callInPlace, callMany } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import { zerosLike } from '../tensor/ops.ts'
import { scope, unscoped } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'

export interface AdamWOptions {
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly weightDecay: number
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

interface Slice {
  readonly parameters: Tensor[]
  readonly gradients: Tensor[]
  readonly first: Tensor[]
  readonly second: Tensor[]
  readonly decays: boolean
}

// Slices bound the scratch memory of a step, and what one of them touches stays in the cache between its passes.
const sliceElements = 1 << 20

/** Parameters in slices of one decay each, in an order that does not depend on anything but the parameters. */
function slices(parameters: Parameters, gradients: readonly Tensor[], state: AdamWState): Slice[] {
  const made: Slice[] = []
  for (const decays of [true, false]) {
    let open: Slice | undefined
    let elements = 0
    for (const [i, [name, parameter]] of [...parameters].entries()) {
      if (parameter.shape.length >= 2 !== decays) continue
      const size = parameter.shape.reduce((a, b) => a * b, 1)
      if (!open || elements + size > sliceElements) {
        open = { parameters: [], gradients: [], first: [], second: [], decays }
        made.push(open)
        elements = 0
      }
      open.parameters.push(parameter)
      open.gradients.push(gradients[i]!)
      open.first.push(state.first.get(name)!)
      open.second.push(state.second.get(name)!)
      elements += size
    }
  }
  return made
}

function composedStep(slice: Slice, { step }: AdamWState, learningRate: number, options: AdamWOptions): void {
  const { beta1, beta2, epsilon, weightDecay } = options
  const { parameters, gradients, first, second, decays } = slice
  const unbiased1 = 1 - beta1 ** step
  const unbiased2 = Math.sqrt(1 - beta2 ** step)
  if (decays && weightDecay !== 0)
    callInPlace('_foreach_mul_.Scalar', parameters, 1 - learningRate * weightDecay)
  callInPlace('_foreach_mul_.Scalar', first, beta1)
  callInPlace('_foreach_add_.List', first, gradients, 1 - beta1)
  callInPlace('_foreach_mul_.Scalar', second, beta2)
  callInPlace('_foreach_addcmul_.Scalar', second, gradients, gradients, 1 - beta2)
  // θ −= lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε), with √(1−β₂ᵗ) moved into the numbers: one pass less.
  const denominator = callMany('_foreach_sqrt', second) as Tensor[]
  callInPlace('_foreach_add_.Scalar', denominator, epsilon * unbiased2)
  callInPlace(
    '_foreach_addcdiv_.Scalar',
    parameters,
    first,
    denominator,
    (-learningRate * unbiased2) / unbiased1,
  )
}

/** One step: updates parameters and state in place. `gradients` are in the order of `parameters`. */
export function adamWStep(
  parameters: Parameters,
  gradients: readonly Tensor[],
  state: AdamWState,
  { learningRate, ...options }: AdamWOptions & { readonly learningRate: number },
): void {
  if (gradients.length !== parameters.size) {
    throw new SherdError(
      'VALUE',
      `adamWStep: ${parameters.size} parameters but ${gradients.length} gradients`,
    )
  }
  state.step++
  noGrad(() => {
    for (const slice of slices(parameters, gradients, state))
      scope(() => composedStep(slice, state, learningRate, options))
  })
}
