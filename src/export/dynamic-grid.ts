/**
 * Encoders for images of any size that is a multiple of the patch. What their positions are computed from is an input while tracing and a
 * constant in the graph: a table of one side for fixed positions (half of one encodes the column, half the row), and the numbers 0, 1, 2 …
 */
import { SherdError } from '../errors.ts'
import type { EncodeAllOptions } from '../model/backbone.ts'
import { encoderWidths, learnedGridOf, positionOptions } from '../model/backbone-shape.ts'
import { gridOfModel, prefixOf } from '../model/dimensions.ts'
import { weightsOf } from '../model/parameters.ts'
import type { ArrayOf, DType } from '../tensor/dtype.ts'
import { fromArray, type Tensor } from '../tensor/tensor.ts'
import { composePositions, sidePositions } from '../token/position.ts'
import { positionedLength } from '../token/prefix.ts'
import { placesInGroups, placeWidth } from '../token/sample-positions.ts'
import { composedAttention, composedTable, numbersFor, spreadFor } from './composed-positions.ts'
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
  if (positionedLength(prefixOf(dimensions)) > 0)
    refuse('prefix tokens with positions of their own are not exported so')
  if (needsPositions(shape)) refuse('a model with dates gets its positions as an input')
  if (only || channels) refuse('a model is exported with all of its bands then; leave --bands out')
  if (!Number.isInteger(most) || most < Math.max(...dimensions.imageSize))
    refuse(`expected at least the model's own ${dimensions.imageSize.join(' × ')} pixels, got ${most}`)
}

/** Of rows and columns: as many patches as fit into what was asked for. */
const longest = ({ dimensions: { patchSize } }: ExportedEncoder, { most }: DynamicGrid) =>
  patchSize.map((side) => Math.floor(most / side)) as [rows: number, columns: number]

/** In pixels, of the side that can be longer. */
export const largestSide = (encoder: ExportedEncoder, grid: DynamicGrid): number =>
  Math.max(...longest(encoder, grid).map((places, axis) => places * encoder.dimensions.patchSize[axis]!))

interface Table {
  readonly values: ArrayOf<DType>
  readonly shape: readonly number[]
  readonly dtype: 'float32' | 'int64'
}

export type PositionTables = Readonly<Record<string, Table>>

const SIDE = 'positions.side'
const NUMBERS = 'positions.numbers'
const SPREAD = 'positions.spread'

/**
 * What the positions of a graph are computed from, by name; nothing where they are constants of its one grid. Relative positions never
 * are: the biases of all pairs of tokens would be larger than the rest of the file.
 */
export function positionTables(encoder: ExportedEncoder, dynamic?: DynamicGrid | null): PositionTables {
  const { shape, dimensions } = encoder
  const { relativePositions: relative, rotaryPositions: rotary } = dimensions.variant ?? {}
  const { h, w } = gridOfModel(dimensions)
  const places = Math.max(...(dynamic ? longest(encoder, dynamic) : [h, w]))
  const made: Record<string, Table> = {}
  if (dynamic && shape.positions === 'fixed') {
    const half = placeWidth(encoderWidths(shape), positionOptions(shape).fields.length) / 2
    made[SIDE] = { values: sidePositions(places, half), shape: [places, half], dtype: 'float32' }
  }
  if (relative || (dynamic && (rotary || shape.positions === 'learned'))) {
    const count = numbersFor(dimensions, places)
    made[NUMBERS] = {
      values: BigInt64Array.from({ length: count }, (_, i) => BigInt(i)),
      ...{ shape: [count], dtype: 'int64' },
    }
    const spread = spreadFor(dimensions, places)
    if (spread) made[SPREAD] = { ...spread, dtype: 'float32' }
  }
  return made
}

/** For the graph. */
export const valuesOfTables = (tables: PositionTables): Record<string, ArrayOf<DType>> =>
  Object.fromEntries(Object.entries(tables).map(([name, { values }]) => [name, values]))

/** For tracing. Called inside a scope. */
export const tensorsOf = (tables: PositionTables): Record<string, Tensor> =>
  Object.fromEntries(
    Object.entries(tables).map(([name, { values, shape, dtype }]) => [name, fromArray(values, shape, dtype)]),
  )

/** The positions of an encoder on its grid from these tables. Called inside a scope. */
export function positionsFrom(
  { shape, dimensions, parameters }: ExportedEncoder,
  { [SIDE]: side, [NUMBERS]: numbers, [SPREAD]: spread }: Readonly<Record<string, Tensor>>,
): Pick<EncodeAllOptions, 'positions' | 'attention'> {
  const to = gridOfModel(dimensions)
  const weights = weightsOf(parameters)
  const fixed =
    side && placesInGroups(composePositions(side, to), positionOptions(shape), encoderWidths(shape))
  const from = learnedGridOf(shape)
  const learned =
    numbers && shape.positions === 'learned'
      ? composedTable(weights('pos_embed'), numbers, { from, to, by: shape.resampling ?? 'cubic' })
      : undefined
  return {
    positions: fixed ?? learned,
    attention: numbers && composedAttention(dimensions, { numbers, spread }, { grid: to, weights }),
  }
}

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
