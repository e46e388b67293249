/**
 * Positions as an input: in a model with dates they differ between samples, so the caller of its graph computes them. Needs no LibTorch.
 */
import { SherdError } from '../errors.ts'
import { type BackboneShape, encoderWidths, layoutOf, positionOptions } from '../model/backbone-shape.ts'
import { isOfRasters, type Pixels } from '../prepare/pixels.ts'
import { layoutTokens } from '../token/layout.ts'
import { batchPositions } from '../token/sample-positions.ts'
import type { ExportedEncoder } from './pixels-input.ts'

export const positionsName = 'positions'

export const needsPositions = ({ time }: Pick<BackboneShape, 'time'>): boolean =>
  time !== null && time.fields.length > 0

/** Throws `VALUE` for a model with dates and only some of its bands. */
export function checkPositions({ shape, channels }: ExportedEncoder): void {
  if (channels && needsPositions(shape))
    throw new SherdError(
      'VALUE',
      'A model with dates (model.timeFields) is exported with all of its bands: leave --bands out.',
    )
}

/** [B, N, D] without the batch. */
export const positionsShape = (shape: BackboneShape): readonly [N: number, D: number] => [
  layoutTokens(layoutOf(shape)),
  shape.dimensions.width,
]

/** Positions [B, N, D] of samples, by their dates and metres per pixel. */
export function positionsOf(shape: BackboneShape, samples: Pixels) {
  const [B] = samples.shape
  const facts = isOfRasters(samples) ? samples : { times: null, resolution: null }
  const values = batchPositions(positionOptions(shape), encoderWidths(shape), facts, B)
  return { values, shape: [B, ...positionsShape(shape)] }
}
