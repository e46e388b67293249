/**
 * A patch embedding for other bands: how a model of red, green and blue starts one of thirteen bands. A band that both know keeps its
 * kernel, another gets the mean of all; each is scaled by how many bands it shared its token with before and now, so that the sum
 * over a patch stays as large as it was.
 */
import { add, cat, mul, narrow } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** A band that is known, and how many bands its embedding has. */
export interface KnownBand {
  readonly band: string
  readonly shared: number
}

/** The kernel of one band. */
export interface BandKernel extends KnownBand {
  /** [D, 1, P, P] */
  readonly kernel: Tensor
}

/** The kernels of an embedding [D, |bands|, P, P], band by band. Called inside a scope. */
export const bandKernels = (weight: Tensor, bands: readonly string[]): readonly BandKernel[] =>
  bands.map((band, c) => ({ band, kernel: narrow(weight, 1, c, 1), shared: bands.length }))

/** How much of each known band's kernel each of `bands` gets: [|bands|][|known|]. Names must have the same form on both sides. */
export function bandShares(
  known: readonly KnownBand[],
  bands: readonly string[],
): readonly (readonly number[])[] {
  const scale = (from: KnownBand) => from.shared / bands.length
  return bands.map((band) => {
    const own = known.findIndex((each) => each.band === band)
    return known.map((from, k) => (own < 0 ? scale(from) / known.length : k === own ? scale(from) : 0))
  })
}

/** The embedding [D, |bands|, P, P] of other bands. */
export function inflate(known: readonly BandKernel[], bands: readonly string[]): Tensor {
  return scope(() => {
    const kernels = bandShares(known, bands).map((shares) =>
      known
        .flatMap(({ kernel }, k) => (shares[k] === 0 ? [] : [mul(kernel, shares[k]!)]))
        .reduce((a, b) => add(a, b)),
    )
    return cat(kernels, 1)
  })
}

/**
 * The same for numbers that lie in memory, without LibTorch: values [outer, |known|, inner] → [outer, |bands|, inner], in which row c of
 * `shares` says how much of each known band is in band c.
 */
export function mixBands(
  values: Float32Array,
  { outer, shares }: { readonly outer: number; readonly shares: readonly (readonly number[])[] },
): Float32Array {
  const known = shares[0]!.length
  const inner = values.length / (outer * known)
  const made = new Float32Array(outer * shares.length * inner)
  for (let o = 0; o < outer; o++)
    for (const [c, row] of shares.entries())
      for (const [k, share] of row.entries()) {
        if (share === 0) continue
        const [to, from] = [(o * shares.length + c) * inner, (o * known + k) * inner]
        for (let i = 0; i < inner; i++) made[to + i]! += share * values[from + i]!
      }
  return made
}
