/** Searches an index for vectors, or for images that are in it. */
import { relative, resolve, sep } from 'node:path'
import { didYouMean, SherdError } from '../errors.ts'
import type { ImageIndex } from './index-folder.ts'
import { type Near, nearest } from './vectors/nearest.ts'
import { pickVectors, unitVectors } from './vectors/unit-vectors.ts'

export interface Found extends Near {
  /** The path below the indexed folder. */
  readonly file: string
}

export interface SearchOptions {
  /** The row of the query itself, to be left out; null for none. */
  readonly except?: (query: number) => number | null
}

/**
 * The `count` nearest images of each query (or all, if fewer), most similar first, ties by row. `queries` [queries, D], of any norm but
 * zero. Throws `SHAPE` for another width, `VALUE` for non-finite numbers. Yields to the event loop every few milliseconds.
 */
export async function searchIndex(
  index: ImageIndex,
  queries: Float32Array,
  count: number,
  options: SearchOptions = {},
): Promise<Found[][]> {
  const { vectors, candidates, images } = index
  const { width } = vectors
  if (queries.length === 0 || queries.length % width !== 0)
    throw new SherdError(
      'SHAPE',
      `The index ${index.dir} holds vectors of ${width} numbers, and the query has ${queries.length}: it is of another model.`,
    )
  const asked = { count: queries.length / width, width, values: queries }
  const units = unitVectors(asked, (row) => `query ${row + 1}`)
  const found = await nearest(units, { vectors, candidates, count, ...options })
  return found.map((list) => list.map((near) => ({ file: images[near.row]!.file, ...near })))
}

/** [rows, D] */
export const vectorsOfRows = ({ vectors }: ImageIndex, rows: readonly number[]): Float32Array =>
  pickVectors(vectors, rows).values

/** The row of a name in the index or of a path to an indexed file; null if it is not in the index. */
export function rowOfQuery({ rows, facts }: ImageIndex, query: string): number | null {
  const named = rows.get(query)
  if (named !== undefined) return named
  if (!facts.source) return null
  const below = relative(facts.source.dir, resolve(query)).split(sep).join('/')
  return rows.get(below) ?? null
}

export const unknownQuery = ({ dir, images }: ImageIndex, query: string): SherdError =>
  new SherdError(
    'SOURCE',
    `${query} is neither a file nor the name of an image in ${dir}.${didYouMean(
      query,
      images.slice(0, 10_000).map(({ file }) => file),
    )}`,
  )
