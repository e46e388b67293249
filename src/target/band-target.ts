/** The pixels of each group's hidden patches: the usual target of masked autoencoding, and what the other pixel targets are made of. */

import type { HeadWidths } from '../model/decoder/heads.ts'
import { type BandGroup, pick } from '../model/stem/patch-embedding.ts'
import { reshape } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type PatchSize, patchArea } from '../token/grid.ts'
import { patchifyGroups } from '../token/patchify.ts'
import type { Route } from '../token/spectral-groups.ts'
import { inBandOrder } from './band-order.ts'
import { type BandPatches, type BandStatistics, bandError, bandErrors, meanError } from './band-pixels.ts'
import { meanPredictionLoss, pixelLoss } from './pixels.ts'
import type { Asked, Parts, Target, TargetSpace } from './target.ts'

/** Patches of a group at the places of a route, as that group knows them. */
export const patchesAt = (
  { cut }: Pick<Asked, 'cut'>,
  { shape }: Pick<TargetSpace, 'shape'>,
  route: Route,
  g: number,
): BandPatches => {
  const { channels, patchSize } = shape.dimensions
  return {
    own: pick(cut.patches[g]!, route),
    every: () => pick(allBands(cut.view.pixels, channels, patchSize), route),
    valid: cut.valid && pick(cut.valid, route),
    pixels: patchArea(patchSize),
  }
}

/** [B, places, P·P·C], whatever the groups. */
export const allBands = (pixels: Tensor, channels: number, patchSize: PatchSize): Tensor =>
  patchifyGroups(pixels, [[...Array(channels).keys()]], patchSize)[0]!

/** What heads of pixels give: P·P·|g| of each group. */
export const pixelWidths = ({ shape, groups }: Pick<TargetSpace, 'shape' | 'groups'>): HeadWidths =>
  Object.fromEntries(
    groups.map(({ head, bands }) => [head, patchArea(shape.dimensions.patchSize) * bands.length]),
  )

/**
 * The pixels of each group's patches. One group of all channels without gaps takes the loss of whole patches, which is a kernel, where every
 * sample hides as many: its mean is then that over tokens.
 */
export function bandPixels(statistics: BandStatistics | null, space: TargetSpace): Target {
  const { shape, groups } = space
  const { dimensions: d } = shape
  const isOfOwn = statistics !== 'band' && (statistics !== 'all' || groups[0]!.bands.length === d.channels)
  const isOfWhole = groups.length === 1 && isOfOwn
  const sizeOf = ({ bands }: BandGroup) => patchArea(d.patchSize) * (statistics === 'band' ? 1 : bands.length)
  // Every group has the same share of hidden tokens.
  const chances = groups.map((group) => meanPredictionLoss(sizeOf(group)) / groups.length)
  const patchesOf = (asked: Asked) => asked.routes().map((route, g) => patchesAt(asked, space, route, g))
  const target: Target<{ readonly whole: Asked } | { readonly patches: readonly BandPatches[] }> = {
    part: 'pixels',
    widths: pixelWidths(space),
    reads: 'hidden',
    each: (predictions, values) => {
      const patches = 'patches' in values ? values.patches : patchesOf(values.whole)
      return patches.map((own, g) => bandErrors(predictions[g]!, own, statistics))
    },
    of: (asked) =>
      isOfWhole && !asked.cut.valid && !asked.plan.real ? { whole: asked } : { patches: patchesOf(asked) },
    loss(predictions, values) {
      if ('patches' in values)
        return pixelPart(
          meanError(values.patches.map((patches, g) => bandError(predictions[g]!, patches, statistics))),
        )
      const { cut, plan } = values.whole
      const [predicted, patches] = [predictions[0]!, cut.patches[0]!]
      const given = reshape(predicted, [...plan.hidden.shape, patches.shape[2]!])
      return pixelPart(pixelLoss(given, patches, plan.hidden, { normalize: statistics !== null }))
    },
    whole: (predictions) => inBandOrder(predictions, groups, d),
    shows: { kind: 'pixels', statistics },
    chance: statistics && (isOfOwn || statistics === 'band') ? chances.reduce((a, b) => a + b) : null,
  }
  return target
}

export const pixelPart = (mean: Tensor): Parts => ({ pixels: { mean, weight: 1 } })
