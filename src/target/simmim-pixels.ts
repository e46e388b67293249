/**
 * Pixels as SimMIM predicts them (Xie et al. 2022): the mean absolute error over all hidden pixels of the batch, and heads whose numbers are
 * in the order channel, row, column, as pixel shuffle reads them. Its 1e-5 beside the count of hidden pixels is left out: of one hidden
 * patch of 4 × 4 it is 6e-7 of the loss.
 */
import { permute, reshape } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { patchArea } from '../token/grid.ts'
import { type BandPatches, type BandStatistics, bandError, bandErrors, meanError } from './band-pixels.ts'
import { bandPixels, patchesAt, pixelPart } from './band-target.ts'
import type { Target, TargetSpace } from './target.ts'

export function simmimPixels(statistics: BandStatistics | null, space: TargetSpace): Target {
  const pixels = patchArea(space.shape.dimensions.patchSize)
  /** […, C · P·P] → […, P·P · C] */
  const channelLast = (x: Tensor) => {
    const [width, before] = [x.shape.at(-1)!, x.shape.slice(0, -1)]
    const last = before.length
    const order = [...before.keys(), last + 1, last]
    return reshape(permute(reshape(x, [...before, width / pixels, pixels]), order), x.shape)
  }
  const usual = bandPixels(statistics, space)
  const target: Target<readonly BandPatches[]> = {
    ...usual,
    of: (asked) => asked.routes().map((route, g) => patchesAt(asked, space, route, g)),
    loss: (predictions, patches) =>
      pixelPart(
        meanError(
          patches.map((each, g) => bandError(channelLast(predictions[g]!), each, statistics, 'absolute')),
        ),
      ),
    each: (predictions, patches) =>
      patches.map((own, g) => bandErrors(channelLast(predictions[g]!), own, statistics, 'absolute')),
    whole: (predictions) => usual.whole(predictions.map(channelLast)),
    chance: null,
  }
  return target
}
