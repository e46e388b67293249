/**
 * Sharing of masks between the groups and frames of a sample (SatMAE, Cong et al. 2022, section 3: independent and consistent masking).
 * A design is noise over all tokens: the lowest are kept, so counts are exact, and tokens without data come last.
 */

import { call } from '../tensor/call.ts'
import { add, arange, argsort, expand, meanOver, mul, permute, reshape, sub, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import { fromArray, type Tensor, toFloats } from '../tensor/tensor.ts'
import { type Grid, tokenCount } from './grid.ts'
import type { TokenLayout } from './layout.ts'
import { maskNoise, type SampleAddresses } from './mask.ts'
import { addLevels, isShaped, type MaskShape } from './mask-kinds.ts'
import { keptCount } from './mask-order.ts'

/** Separate masks, or the same places in all. */
export const sharings = ['independent', 'consistent'] as const
export type Sharing = (typeof sharings)[number]

export interface MaskDesign {
  /** Where hidden tokens lie; default: anywhere. Each mask of a shape hides exactly the ratio. */
  readonly shape?: MaskShape
  /** Share of the tokens that are hidden, in (0, 1). */
  readonly ratio: number
  readonly groups: Sharing
  readonly frames: Sharing
  /** With independent frames: the exact ratio in every frame, as in the paper; else over all frames, as in its code. */
  readonly perFrame: boolean
}

const shapeOf = ({ shape }: MaskDesign): MaskShape => shape ?? { kind: 'random' }

export const randomMask = (ratio: number): MaskDesign => ({
  ...{ ratio, groups: 'independent', frames: 'independent', perFrame: false },
})

const axes = ({ frames, groups, grid }: TokenLayout, design: MaskDesign) => ({
  G: design.groups === 'independent' ? groups : 1,
  T: design.frames === 'independent' ? frames : 1,
  L: tokenCount(grid),
})

/** K, the kept tokens of every sample. Throws `VALUE` if no token would be kept, or hidden; `key`: who says so. */
export function keptTokens(layout: TokenLayout, design: MaskDesign, key?: string): number {
  const { G, T, L } = axes(layout, design)
  if (isShaped(shapeOf(design))) return keptCount(L, design.ratio, key) * layout.groups * layout.frames
  const frames = design.perFrame ? 1 : T
  const copies = (layout.groups * layout.frames) / (G * frames)
  return keptCount(G * frames * L, design.ratio, key) * copies
}

/** 0 for the lowest along the last dimension, 1 for the next …: distinct, where noise may be equal. */
const ranks = (x: Tensor) => toDtype(argsort(argsort(x, x.shape.length - 1), x.shape.length - 1), 'float32')

/** Noise [B, N] of ranks [B, G or 1, T or 1, L] that groups and frames share. */
function sharedNoise(ranked: Tensor, layout: TokenLayout): Tensor {
  const [B, , , L] = expectShape(ranked, ['B', 'G', 'T', 'L'], 'sharedNoise: ranked')
  // Ties between frames are broken by frame, so that the groups of one stay together at the cut.
  const frames = reshape(mul(arange(layout.frames, { dtype: 'float32' }), 1 / layout.frames), [
    1,
    1,
    layout.frames,
    1,
  ])
  const all = add(expand(ranked, [B, layout.groups, layout.frames, L]), frames)
  return reshape(all, [B, layout.groups * layout.frames * L])
}

/** Noise [B, masks · L] of masks that are drawn one after another. */
function drawnNoise(grid: Grid, masks: number, design: MaskDesign, seed: number, samples: SampleAddresses) {
  const noise = maskNoise(masks * tokenCount(grid), seed, samples)
  const shape = shapeOf(design)
  if (!isShaped(shape)) return noise
  const values = toFloats(noise)
  addLevels(values, shape, { grid, ratio: design.ratio, seed, samples })
  return fromArray(values, noise.shape, 'float32')
}

/** Noise [B, N] over all tokens: a pure function of the seed and the samples' addresses. */
export function designedNoise(
  layout: TokenLayout,
  design: MaskDesign,
  seed: number,
  samples: SampleAddresses,
): Tensor {
  const { G, T, L } = axes(layout, design)
  const B = samples.indices.length
  const shaped = isShaped(shapeOf(design))
  const isWhole = G === layout.groups && T === layout.frames
  const isPlain = isWhole && (shaped ? G * T === 1 : !(design.perFrame && T > 1))
  return scope(() => {
    const noise = drawnNoise(layout.grid, G * T, design, seed, samples)
    if (isPlain) return noise
    // Masks of a shape are cut at the same rank, each by itself.
    if (shaped) return sharedNoise(reshape(ranks(reshape(noise, [B, G * T, L])), [B, G, T, L]), layout)
    const inFrame = permute(reshape(noise, [B, G, T, L]), [0, 2, 1, 3]) // [B, T, G, L]
    const ranked =
      design.perFrame && T > 1
        ? permute(reshape(ranks(reshape(inFrame, [B, T, G * L])), [B, T, G, L]), [0, 2, 1, 3])
        : reshape(ranks(noise), [B, G, T, L])
    return sharedNoise(ranked, layout)
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
