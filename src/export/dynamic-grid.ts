/**
 * Encoders for images of any size that is a multiple of the patch. Half of a fixed position encodes the column, half the row, by the same
 * table: the graph holds it once and slices it to the rows and columns of the input.
 */
import { SherdError } from '../errors.ts'
import { backboneAt, encoderWidths, positionOptions } from '../model/backbone-shape.ts'
import { gridOfModel } from '../model/dimensions.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { Grid } from '../token/grid.ts'
import { composePositions, sidePositions } from '../token/position.ts'
import { placesInGroups, placeWidth } from '../token/sample-positions.ts'
import type { ExportedEncoder } from './pixels-input.ts'
import { needsPositions } from './positions-input.ts'

export interface DynamicGrid {
  /** The largest height and width, in pixels. */
  readonly most: number
}

/** Height and width, in pixels. */
export type ImageSize = readonly [number, number]

/** Throws `VALUE` for models whose positions are for one grid. */
export function checkDynamic(
  { shape, only, channels, dimensions }: ExportedEncoder,
  { most }: DynamicGrid,
): void {
  const refuse = (why: string) => {
    throw new SherdError('VALUE', `A grid of any size: ${why}`)
  }
  if (shape.positions === 'learned')
    refuse('the positions of this model were learned for its own grid, and would have to be interpolated')
  if (needsPositions(shape)) refuse('a model with dates gets its positions as an input')
  if (only || channels) refuse('a model is exported with all of its bands then; leave --bands out')
  if (!Number.isInteger(most) || most < Math.max(...dimensions.imageSize))
    refuse(`expected at least the model's own ${dimensions.imageSize.join(' × ')} pixels, got ${most}`)
}

/** The encoder for images of another size, with the same weights. */
export function atSize<Encoder extends ExportedEncoder>(encoder: Encoder, imageSize: ImageSize): Encoder {
  const shape = backboneAt(encoder.shape, imageSize)
  return { ...encoder, dimensions: shape.dimensions, shape }
}

const halfOf = ({ shape }: ExportedEncoder) =>
  placeWidth(encoderWidths(shape), positionOptions(shape).fields.length) / 2

/** Of rows and columns: as many patches as fit into what was asked for. */
const longest = ({ dimensions: { patchSize } }: ExportedEncoder, { most }: DynamicGrid) =>
  patchSize.map((side) => Math.floor(most / side)) as [rows: number, columns: number]

/** In pixels, of the side that can be longer. */
export const largestSide = (encoder: ExportedEncoder, grid: DynamicGrid): number =>
  Math.max(...longest(encoder, grid).map((places, axis) => places * encoder.dimensions.patchSize[axis]!))

/** An input while tracing, a constant in the graph. */
export const tableName = 'positions.side'

/** The half of the positions for each place along a side, [places, D / 2]. */
export const sideTable = (encoder: ExportedEncoder, grid: DynamicGrid): Float32Array =>
  sidePositions(Math.max(...longest(encoder, grid)), halfOf(encoder))

/** Called inside a scope. */
export function sideTensor(encoder: ExportedEncoder, grid: DynamicGrid): Tensor {
  const [values, half] = [sideTable(encoder, grid), halfOf(encoder)]
  return tensor(values, [values.length / half, half])
}

/** The positions [N, D] of the encoder's tokens on a grid. Called inside a scope. */
export const gridPositions = ({ shape }: ExportedEncoder, side: Tensor, grid: Grid): Tensor =>
  placesInGroups(composePositions(side, grid), positionOptions(shape), encoderWidths(shape))

/** Sizes of images to compare on: the model's own, and some that differ from it in both sides. */
export function proofSizes(encoder: ExportedEncoder, grid: DynamicGrid): ImageSize[] {
  const { imageSize, patchSize } = encoder.dimensions
  const { h, w } = gridOfModel(encoder.dimensions)
  const within = (...places: [number, number]) =>
    longest(encoder, grid).map(
      (most, axis) => Math.min(most, Math.max(1, places[axis]!)) * patchSize[axis]!,
    ) as [number, number]
  return [imageSize, within(h + 1, w + 2), within(Math.ceil(h / 2), w - 1)]
}
