/** Gradients of all parameters at once: collecting them, their norm, clipping. */
import { SherdError } from '../errors.ts'
import { call, callInPlace, callMany } from '../tensor/call.ts'
import { gradient, noGrad } from '../tensor/context.ts'
import { normInOnePass } from '../tensor/kernels.ts'
import { toDevice } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { item, type Tensor, toFloats } from '../tensor/tensor.ts'

/** Gradients by parameter name. A parameter that no loss reached is missing: it gets no moment, no decay, no count. */
export type Gradients = ReadonlyMap<string, Tensor>

/** The parameters' gradients, in their order. */
export function gradientsOf(parameters: ReadonlyMap<string, Tensor>): Gradients {
  return new Map(
    [...parameters].flatMap(([name, parameter]) => {
      const found = gradient(parameter)
      return found ? [[name, found] as const] : []
    }),
  )
}

/** Throws `BUG` for a learned parameter without a gradient. `isUnreached`: parameters that the loss may not depend on. */
export function expectReached(
  parameters: ReadonlyMap<string, Tensor>,
  gradients: Gradients,
  isUnreached: (name: string) => boolean = () => false,
): Gradients {
  for (const name of parameters.keys())
    if (!gradients.has(name) && !isUnreached(name))
      throw new SherdError('BUG', `Bug: the loss does not depend on parameter "${name}"`)
  return gradients
}

/** `native`: in one pass, on the CPU; `composed`: on any device. */
export type ListKernel = 'native' | 'composed'

export const listKernel = (gradients: readonly Tensor[]): ListKernel =>
  gradients[0]?.device === 'cpu' ? 'native' : 'composed'

/** The Euclidean norm of all gradients together, on their device. */
export const composedNorm = (gradients: readonly Tensor[]): Tensor =>
  scope(() => call('norm.Scalar', composedNorms(gradients), 2))

const composedNorms = (gradients: readonly Tensor[]) =>
  call('stack', callMany('_foreach_norm.Scalar', gradients, 2) as Tensor[], 0)

/** The Euclidean norm of all gradients together. */
export function gradientNorm(gradients: readonly Tensor[], kernel = listKernel(gradients)): number {
  if (gradients.length === 0) return 0
  return noGrad(() =>
    scope(() => (kernel === 'native' ? normInOnePass(gradients) : item(composedNorm(gradients)))),
  )
}

function normsOfEach(gradients: readonly Tensor[], kernel: ListKernel): number[] {
  if (kernel === 'native') return gradients.map((each) => normInOnePass([each]))
  return scope(() => [...toFloats(toDevice(composedNorms(gradients), 'cpu'))])
}

/** The largest gradient norm: of all together, of each tensor, or of the parameters of a group row together. */
export interface Clip {
  readonly by: 'all' | 'tensor' | 'row'
  readonly most: number
}

export interface Clipping {
  readonly clip: Clip
  readonly names: readonly string[]
}

/** Scales the gradients in place by most / (norm + 1e-6) if that is below 1, as PyTorch's `clip_grad_norm_`. */
function scaleTo(most: number, norm: number, gradients: readonly Tensor[]): void {
  const scale = most / (norm + 1e-6)
  if (scale < 1) callInPlace('_foreach_mul_.Scalar', gradients, scale)
}

/** Clips in place. `norm`: of all gradients together, before clipping. */
export function clipGradients(
  gradients: Gradients,
  clippings: readonly Clipping[],
  { norm, kernel }: { readonly norm: number; readonly kernel?: ListKernel },
): void {
  noGrad(() => {
    for (const { clip, names } of clippings) {
      const own = names.flatMap((name) => gradients.get(name) ?? [])
      if (own.length === 0) continue
      const way = kernel ?? listKernel(own)
      if (clip.by === 'tensor') {
        for (const [i, each] of normsOfEach(own, way).entries()) scaleTo(clip.most, each, [own[i]!])
      } else scaleTo(clip.most, clip.by === 'all' ? norm : gradientNorm(own, way), own)
    }
  })
}
