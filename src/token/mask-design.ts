/**
 * Sharing of masks between the groups and frames of a sample (SatMAE, Cong et al. 2022, section 3: independent and consistent masking).
 * A design is noise over all tokens: the lowest are kept, so counts are exact, and tokens without data come last.
 */

import { call } from '../tensor/call.ts'
import { add, arange, argsort, expand, meanOver, mul, permute, reshape, sub, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { tokenCount } from './grid.ts'
import type { TokenLayout } from './layout.ts'
import { maskNoise, type SampleAddresses } from './mask.ts'
import { keptCount } from './mask-order.ts'

/** Separate masks, or the same places in all. */
export const sharings = ['independent', 'consistent'] as const
export type Sharing = (typeof sharings)[number]

export interface MaskDesign {
  /** Share of the tokens that are hidden, in (0, 1). */
  readonly ratio: number
  readonly groups: Sharing
  readonly frames: Sharing
  /** With independent frames: the exact ratio in every frame, as in the paper; else over all frames, as in its code. */
  readonly perFrame: boolean
}

export const randomMask = (ratio: number): MaskDesign => ({
  ...{ ratio, groups: 'independent', frames: 'independent', perFrame: false },
})

const axes = ({ frames, groups, grid }: TokenLayout, design: MaskDesign) => ({
  G: design.groups === 'independent' ? groups : 1,
  T: design.frames === 'independent' ? frames : 1,
  L: tokenCount(grid),
})

/** K, the kept tokens of every sample. Throws `VALUE` if no token would be kept, or hidden. */
export function keptTokens(layout: TokenLayout, design: MaskDesign): number {
  const { G, T, L } = axes(layout, design)
  const frames = design.perFrame ? 1 : T
  const copies = (layout.groups * layout.frames) / (G * frames)
  return keptCount(G * frames * L, design.ratio) * copies
}

/** 0 for the lowest along the last dimension, 1 for the next …: distinct, where noise may be equal. */
const ranks = (x: Tensor) => toDtype(argsort(argsort(x, x.shape.length - 1), x.shape.length - 1), 'float32')

/** Noise [B, N] over all tokens: a pure function of the seed and the samples' addresses. */
export function designedNoise(
  layout: TokenLayout,
  design: MaskDesign,
  seed: number,
  samples: SampleAddresses,
): Tensor {
  const { G, T, L } = axes(layout, design)
  const B = samples.indices.length
  const isPlain = G === layout.groups && T === layout.frames && !(design.perFrame && T > 1)
  return scope(() => {
    const noise = maskNoise(G * T * L, seed, samples)
    if (isPlain) return noise
    const inFrame = permute(reshape(noise, [B, G, T, L]), [0, 2, 1, 3]) // [B, T, G, L]
    const ranked =
      design.perFrame && T > 1
        ? permute(reshape(ranks(reshape(inFrame, [B, T, G * L])), [B, T, G, L]), [0, 2, 1, 3])
        : reshape(ranks(noise), [B, G, T, L])
    // Ties between frames are broken by frame, so that the groups of one stay together at the cut.
    const frames = reshape(mul(arange(layout.frames, { dtype: 'float32' }), 1 / layout.frames), [
      1,
      1,
      layout.frames,
      1,
    ])
    const all = add(expand(ranked, [B, layout.groups, layout.frames, L]), frames)
    return reshape(all, [B, layout.groups * layout.frames * L])
  })
}

const BEHIND = 2 ** 24 // more than any noise, any rank

/** Noise [B, N] by which tokens without data come last: `present` [B, N] is 1 for the others. */
export const absentLast = (noise: Tensor, present: Tensor): Tensor =>
  scope(() => sub(noise, mul(sub(present, 1), BEHIND)))

/** Which tokens [B, N] hold any data, 1 or 0, from the valid pixels [B, T · L, P·P] of every place. */
export function presentTokens(validPatches: Tensor, groups: number): Tensor {
  const [B, places] = expectShape(validPatches, ['B', 'places', 'P·P'], 'presentTokens: validPatches')
  return scope(() => {
    const any = toDtype(call('gt.Scalar', meanOver(validPatches, [2]), 0), 'float32') // [B, places]
    return reshape(expand(reshape(any, [B, 1, places]), [B, groups, places]), [B, groups * places])
  })
}
