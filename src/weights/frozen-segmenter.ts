/** A segmenter for inference: a frozen encoder with a head on its patch tokens. */

import { layoutOf } from '../model/backbone-shape.ts'
import { gridOfModel } from '../model/dimensions.ts'
import type { Encoded } from '../model/encoder.ts'
import { type ParameterRow, type Parameters, weightsOf } from '../model/parameters.ts'
import {
  pixelLogits,
  type Segmentation,
  type SegmentationHead,
  type SegmentationShape,
  segmentationHeads,
  type TokenStatistics,
  type TrainedHead,
} from '../model/segmentation-heads.ts'
import type { Pixels } from '../prepare/pixels.ts'
import { noGrad } from '../tensor/context.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { locationTokens, locationWidth } from '../token/pool.ts'
import { type FrozenEncoder, tokensOf } from './frozen-encoder.ts'

/** Its parameters include those of `segmenterRows`, under `decode_head.`. */
export interface FrozenSegmenter extends FrozenEncoder {
  readonly segmenter: SegmentationHead
  /** In the order of the logits. */
  readonly classes: readonly string[]
}

const PREFIX = 'decode_head.'
/** Normalisation of tokens. */
const MEAN = 'tokens.mean'
const DEVIATION = 'tokens.deviation'

/** The head's parameters, and the normalisation of tokens. */
export const segmenterRows = (head: SegmentationHead, shape: SegmentationShape): ParameterRow[] =>
  [
    ...segmentationHeads[head].rows(shape),
    { name: MEAN, shape: [shape.width], initial: 'zeros' as const },
    { name: DEVIATION, shape: [shape.width], initial: 'ones' as const },
  ].map((row) => ({ ...row, name: PREFIX + row.name }))

/** A trained head and its statistics under their names in a file. */
export const segmenterParameters = ({ parameters }: TrainedHead, statistics: TokenStatistics): Parameters =>
  new Map(
    [...parameters, [MEAN, statistics.mean] as const, [DEVIATION, statistics.deviation] as const].map(
      ([name, value]) => [PREFIX + name, value],
    ),
  )

export function segmentationShape(
  { shape, only }: Pick<FrozenEncoder, 'shape' | 'only'>,
  { classes, ignored }: Pick<SegmentationShape, 'classes' | 'ignored'>,
): SegmentationShape {
  const { dimensions } = shape
  const groups = only?.length ?? layoutOf(shape).groups
  return {
    ...{ classes, ignored, width: locationWidth({ groups }, dimensions.width) },
    ...{ grid: gridOfModel(dimensions), size: dimensions.imageSize },
  }
}

/** The head of a segmenter as `trainHead` returns it. `ignored`: the ignored value in masks. */
export function trainedHeadOf(
  segmenter: FrozenSegmenter,
  ignored: number,
): { readonly trained: TrainedHead; readonly of: Segmentation } {
  const own = new Map(
    [...segmenter.parameters]
      .filter(([name]) => name.startsWith(PREFIX))
      .map(([name, value]) => [name.slice(PREFIX.length), value]),
  )
  const weights = weightsOf(own)
  return {
    trained: { head: segmenter.segmenter, parameters: own },
    of: {
      shape: segmentationShape(segmenter, { classes: segmenter.classes.length, ignored }),
      statistics: { mean: weights(MEAN), deviation: weights(DEVIATION) },
      device: segmenter.device,
    },
  }
}

/** Logits [B, classes, H, W] from the encoder's tokens. */
export function decodeHeadLogits(segmenter: FrozenSegmenter, encoded: Encoded): Tensor {
  const layout = layoutOf(segmenter.shape)
  const groups = segmenter.only?.length ?? layout.groups
  const { trained, of } = trainedHeadOf(segmenter, -1)
  return scope(() => {
    const places = locationTokens(encoded, { ...layout, groups })
    return pixelLogits(places, weightsOf(trained.parameters), trained.head, of)
  })
}

/** pixels → logits [B, classes, H, W]. The head is computed in float32, whatever the encoder's precision. */
export function pixelLogitsOf(segmenter: FrozenSegmenter): (pixels: Pixels) => Tensor {
  const tokens = tokensOf(segmenter)
  return (pixels) => noGrad(() => scope(() => decodeHeadLogits(segmenter, tokens(pixels))))
}
