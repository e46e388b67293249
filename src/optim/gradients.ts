/** Gradients of all parameters at once: collecting them, their norm, clipping. */
import { SherdError } from '../errors.ts'
import { call, callInPlace, callMany } from '../tensor/call.ts'
import { gradient, noGrad } from '../tensor/context.ts'
import { normInOnePass } from '../tensor/kernels.ts'
import { scope } from '../tensor/scope.ts'
import { item, type Tensor } from '../tensor/tensor.ts'

/** The gradient of every parameter, in order. A parameter that the loss did not reach is a bug of the objective. */
export function gradientsOf(parameters: ReadonlyMap<string, Tensor>): Tensor[] {
  return [...parameters].map(([name, parameter]) => {
    const found = gradient(parameter)
    if (!found) throw new SherdError('BUG', `Bug: the loss does not depend on parameter "${name}"`)
    return found
  })
}

/** How a list of gradients is worked on: `native` in one pass, on the CPU; `composed` anywhere. */
export type ListKernel = 'native' | 'composed'

export const listKernel = (gradients: readonly Tensor[]): ListKernel =>
  gradients[0]?.device === 'cpu' ? 'native' : 'composed'

/** The Euclidean norm over all gradients together. */
export function gradientNorm(gradients: readonly Tensor[], kernel = listKernel(gradients)): number {
  return noGrad(() =>
    scope(() => {
      if (kernel === 'native') return normInOnePass(gradients)
      const norms = callMany('_foreach_norm.Scalar', gradients, 2) as Tensor[]
      return item(call('norm.Scalar', call('stack', norms, 0), 2))
    }),
  )
}

/** Scales the gradients in place so that their norm is at most `limit`, given that it is `norm`. */
export function clipGradients(gradients: readonly Tensor[], norm: number, limit: number): void {
  const scale = limit / (norm + 1e-6)
  if (scale < 1) noGrad(() => callInPlace('_foreach_mul_.Scalar', gradients, scale))
}
