/** The positions of a file for another program, as numbers. */
import type { FloatArray } from '../checkpoint/arrays.ts'
import { backboneOf } from '../config/resolve.ts'
import { learnedGridOf } from '../model/backbone-shape.ts'
import { gridOfModel } from '../model/dimensions.ts'
import { type RelativePositions, resampleTableNumbers, tableName } from '../model/relative-position.ts'
import type { Grid } from '../token/grid.ts'
import { sineCosinePositions } from '../token/position.ts'
import {
  type OffsetResamplingName,
  type ResamplingName,
  resampleNumbers,
} from '../token/resample-positions.ts'
import type { ExportedModel } from './exported-model.ts'

export interface WrittenPositions {
  /** [N, D]; null: nothing is added to tokens. */
  readonly table: Float32Array | null
  /** That the table is for, in pixels. */
  readonly imageSize: readonly [height: number, width: number]
  readonly notes: readonly string[]
}

export interface Reader {
  /** How it resamples a table. */
  readonly resampling: ResamplingName
  /** Whether it does so for images of another size without being asked to. */
  readonly resamplesItself: boolean
}

/**
 * A stored table of another grid stays where its reader resamples as the model does; else it is resampled for the model's own size, at
 * which the reader then computes the same.
 */
export function writtenPositions(
  { config, dimensions, arrays }: ExportedModel,
  { resampling, resamplesItself }: Reader,
): WrittenPositions {
  const shape = backboneOf(config)
  const { imageSize, patchSize, width } = dimensions
  const own = { imageSize, notes: [] }
  const to = gridOfModel(dimensions)
  const learned = arrays.get('pos_embed')?.data
  if (shape.positions === 'none') return { ...own, table: null }
  if (!learned) return { ...own, table: sineCosinePositions(to, width) }
  const [from, by] = [learnedGridOf(shape), shape.resampling ?? 'cubic']
  const differs = `At other sizes than that of its table positions are resampled otherwise there (${resampling}) than here (${by}).`
  const notes = by === resampling ? [] : [differs]
  if (from.h === to.h && from.w === to.w) return { imageSize, table: learned, notes }
  if (by === resampling && resamplesItself)
    return { table: learned, imageSize: [from.h * patchSize[0], from.w * patchSize[1]], notes }
  return {
    table: resampleNumbers(learned, width, { from, to, by }),
    imageSize,
    notes: [
      `Its positions were stored for ${from.h} × ${from.w} patches, and are written for ${to.h} × ${to.w}.`,
      ...notes,
    ],
  }
}

/** The arrays with tables of relative positions for another grid. */
export function withTablesFor(
  arrays: ReadonlyMap<string, FloatArray>,
  relative: RelativePositions,
  grid: Grid,
): ReadonlyMap<string, FloatArray> {
  const made = new Map(arrays)
  for (const [name, { data, shape }] of arrays) {
    if (!name.endsWith(tableName)) continue
    const heads = shape[1]!
    const resampled = resampleTableNumbers(data, heads, relative, grid)
    made.set(name, { shape: [resampled.length / heads, heads], data: resampled })
  }
  return made
}

/** What a reader's tables differ in at other sizes, for its card. */
export const tableNotes = (
  { grid, resampling = 'linear' }: RelativePositions,
  { written, reader }: { readonly written: Grid; readonly reader: OffsetResamplingName },
): string[] => [
  ...(grid.h === written.h && grid.w === written.w
    ? []
    : [
        `Its tables of relative positions were stored for ${grid.h} × ${grid.w} patches, and are written for ${written.h} × ${written.w}.`,
      ]),
  ...(resampling === reader
    ? []
    : [
        `At other sizes tables of relative positions are resampled otherwise there (${reader}) than here (${resampling}).`,
      ]),
]
