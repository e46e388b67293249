/**
 * A patch embedding for other bands: how a model of red, green and blue starts one of thirteen bands. A band that both know keeps its
 * kernel, another gets the mean of all; each is scaled by how many bands it shared its token with before and now, so that the sum
 * over a patch stays as large as it was.
 */
import { add, cat, mul, narrow } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** The kernel of one band, and how many bands its embedding has. */
export interface BandKernel {
  readonly band: string
  /** [D, 1, P, P] */
  readonly kernel: Tensor
  readonly shared: number
}

/** The kernels of an embedding [D, |bands|, P, P], band by band. Called inside a scope. */
export const bandKernels = (weight: Tensor, bands: readonly string[]): readonly BandKernel[] =>
  bands.map((band, c) => ({ band, kernel: narrow(weight, 1, c, 1), shared: bands.length }))

/** The embedding [D, |bands|, P, P] of other bands. Names must have the same form on both sides. */
export function inflate(known: readonly BandKernel[], bands: readonly string[]): Tensor {
  return scope(() => {
    const scaled = ({ kernel, shared }: BandKernel) => mul(kernel, shared / bands.length)
    const mean = mul(
      known.map(scaled).reduce((a, b) => add(a, b)),
      1 / known.length,
    )
    return cat(
      bands.map((band) => {
        const own = known.find((each) => each.band === band)
        return own ? scaled(own) : mean
      }),
      1,
    )
  })
}
