/**
 * The order of bands in the released SatMAE code, for its decoder weights alone. Its heads' outputs stand one behind the other in the
 * order of the groups, and its loss reads that as the order of the bands; inside a head the band comes before row and column. So head
 * 0 learns the first |g₀| bands, whichever were declared for it, while the mask stays that of the declared group.
 */

import { SherdError } from '../errors.ts'
import {
  add,
  cat,
  div,
  indexSelect,
  meanOver,
  mul,
  narrow,
  permute,
  reshape,
  square,
  sub,
  sum,
  toDevice,
  toDtype,
} from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { fromArray, type Tensor } from '../tensor/tensor.ts'
import { patchArea } from '../token/grid.ts'
import { hiddenMask } from '../token/mask.ts'
import type { SpectralGroups } from '../token/spectral-groups.ts'
import { allBands, pixelPart, pixelWidths } from './band-target.ts'
import { meanPredictionLoss, patchStatistics } from './pixels.ts'
import type { Target, TargetSpace } from './target.ts'

/** Throws `VALUE` where the released order makes no sense: every band must be in a group, and there is one frame. */
export function checkReleased(groups: SpectralGroups | null, channels: number, frames: number): void {
  if (groups === null || groups.flat().length !== channels || frames !== 1)
    throw new SherdError(
      'VALUE',
      `decoder.compat "satmae": expected spectral groups that hold each of the ${channels} bands once, and one frame`,
    )
}

/** The heads' predictions [B, L, |g|·P·P], in the released order, as bands: [B, L, P·P, C]. */
export const releasedOrder = (parts: readonly Tensor[], pixels: number): Tensor =>
  scope(() => {
    const all = toDtype(cat(parts, 2), 'float32') // [B, L, C·P·P]
    const [B, L, width] = all.shape as readonly [number, number, number]
    return permute(reshape(all, [B, L, width / pixels, pixels]), [0, 1, 3, 2])
  })

export interface ReleasedTarget {
  /** All bands [B, L, P·P·C] at every place. */
  readonly patches: Tensor
  readonly groups: SpectralGroups
  readonly pixels: number
  /** By all bands at the place, the only statistics that the released code has. */
  readonly normalize: boolean
}

/** The loss under a mask [B, G · L] (1 hidden): bands of group g count where the token of group g is hidden. */
export function releasedLoss(
  predicted: Tensor,
  { patches, groups, pixels, normalize }: ReleasedTarget,
  mask: Tensor,
): Tensor {
  return scope(() => {
    const { mean, deviation } = patchStatistics(patches)
    const target = normalize ? div(sub(patches, mean), deviation) : patches
    const [B, L, width] = patches.shape as readonly [number, number, number]
    const error = meanOver(square(sub(predicted, reshape(target, [B, L, pixels, width / pixels]))), [2]) // [B, L, C]
    const sums = groups.map((bands, g) => {
      const which = toDevice(
        fromArray(BigInt64Array.from(bands, BigInt), [bands.length], 'int64'),
        patches.device,
      )
      return sum(mul(meanOver(indexSelect(error, 2, which), [2]), narrow(mask, 1, g * L, L)))
    })
    return div(
      sums.reduce((a, b) => add(a, b)),
      sum(mask),
    )
  })
}

/** The pixels as the released code has them: every head's prediction everywhere, read as bands in their order. */
export function releasedPixels(normalize: boolean, space: TargetSpace): Target {
  const { channels, patchSize } = space.shape.dimensions
  const { groups } = space.shape
  const pixels = patchArea(patchSize)
  checkReleased(groups, channels, space.shape.frames)
  const target: Target<{ readonly patches: Tensor; readonly mask: Tensor }> = {
    part: 'pixels',
    widths: pixelWidths(space),
    reads: 'all',
    of: ({ cut, plan }) => ({
      patches: allBands(cut.view.pixels, channels, patchSize),
      mask: hiddenMask(plan),
    }),
    loss: (predictions, { patches, mask }) =>
      pixelPart(
        releasedLoss(
          releasedOrder(predictions, pixels),
          { patches, groups: groups!, pixels, normalize },
          mask,
        ),
      ),
    whole(predictions) {
      const [B, L] = predictions[0]!.shape as readonly [number, number]
      return reshape(releasedOrder(predictions, pixels), [B, L, pixels * channels])
    },
    shows: { kind: 'pixels', statistics: normalize ? 'all' : null },
    chance: normalize ? meanPredictionLoss(pixels * channels) : null,
  }
  return target
}
