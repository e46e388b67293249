/** The addon's kernels for what takes LibTorch's operators many passes over memory. */
import { addon } from './addon.ts'
import { guarded, type Tensor } from './tensor.ts'

export interface AdamWTensors {
  readonly parameters: readonly Tensor[]
  readonly gradients: readonly Tensor[]
  readonly first: readonly Tensor[]
  readonly second: readonly Tensor[]
}

/** θ ← decay · θ − rate · m / (√v + ε), after updating m and v. */
export interface AdamWNumbers {
  readonly decay: number
  readonly beta1: number
  readonly beta2: number
  readonly rate: number
  readonly epsilon: number
}

const handles = (list: readonly Tensor[]) => list.map(({ handle }) => handle)

/** The Euclidean norm of all tensors together; float32 on the CPU. */
export function normInOnePass(tensors: readonly Tensor[]): number {
  return guarded(
    () => `norm of ${tensors.length} tensors`,
    () => addon().norm(handles(tensors)),
  )
}

/** One AdamW step in place, in one pass. All tensors are float32 on the CPU, of one shape for each parameter; all but
 * the gradients are contiguous. */
export function adamWInPlace(
  tensors: AdamWTensors,
  { decay, beta1, beta2, rate, epsilon }: AdamWNumbers,
): void {
  const { parameters, gradients, first, second } = tensors
  guarded(`adamW over ${parameters.length} tensors`, () =>
    addon().adamW(handles(parameters), handles(gradients), handles(first), handles(second), [
      decay,
      beta1,
      beta2,
      rate,
      epsilon,
    ]),
  )
}
