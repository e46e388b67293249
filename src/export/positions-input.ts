/**
 * Positions as an input: those of a model that is told dates are other ones for each sample, and whoever feeds its graph computes them.
 * That takes no LibTorch.
 */
import { SherdError } from '../errors.ts'
import { type BackboneShape, encoderWidths, layoutOf, positionOptions } from '../model/backbone.ts'
import { factsOfRasters, type Pixels } from '../prepare/normalize.ts'
import { layoutTokens } from '../token/layout.ts'
import { batchPositions } from '../token/sample-positions.ts'
import type { ExportedEncoder } from './pixels-input.ts'

export const positionsName = 'positions'

/** Whether the encoder's graph has this input. */
export const needsPositions = ({ time }: Pick<BackboneShape, 'time'>): boolean =>
  time !== null && time.fields.length > 0

/** Throws `VALUE` for a model that is told dates and not given all of its bands. */
export function checkPositions({ shape, channels }: ExportedEncoder): void {
  if (channels && needsPositions(shape))
    throw new SherdError(
      'VALUE',
      'A model that is told dates is exported with all of its bands: leave --bands out.',
    )
}

/** [B, N, D] without the batch. */
export const positionsShape = (shape: BackboneShape): readonly [N: number, D: number] => [
  layoutTokens(layoutOf(shape)),
  shape.dimensions.width,
]

/** The positions [B, N, D] of samples, by their dates and metres a pixel. */
export function positionsOf(shape: BackboneShape, { shape: [B], rasters }: Pixels) {
  const told = rasters ? factsOfRasters(rasters) : { times: null, resolution: null }
  const values = batchPositions(positionOptions(shape), encoderWidths(shape), told, B)
  return { values, shape: [B, ...positionsShape(shape)] }
}
