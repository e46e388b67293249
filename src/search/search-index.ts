/** Searches an index, for vectors or for images that are in it. */
import { relative, resolve, sep } from 'node:path'
import { didYouMean, SherdError } from '../errors.ts'
import type { ImageIndex } from './index-folder.ts'
import { type Near, nearest } from './vectors/nearest.ts'
import { pickVectors, unitVectors } from './vectors/unit-vectors.ts'

export interface Found extends Near {
  /** What the image is called in the index: its path below the folder that was indexed. */
  readonly file: string
}

export interface SearchOptions {
  /** The row that query `i` is itself and that is left out; null for none. */
  readonly except?: (query: number) => number | null
}

/**
 * The `count` nearest images of each query, the most similar first, of equally similar ones the first in the index; all when there are fewer.
 * `queries`: one or several vectors, one behind the other, of any length but zero. Throws `SHAPE` for vectors of another width,
 * `VALUE` for numbers that are not finite. Gives the event loop its turn every few milliseconds.
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

/** The vectors of rows of the index, one behind the other. */
export const vectorsOfRows = ({ vectors }: ImageIndex, rows: readonly number[]): Float32Array =>
  pickVectors(vectors, rows).values

/** The row that a text means: a name in the index, or the path of a file that is in it. Null when it is in no index. */
export function rowOfQuery({ rows, facts }: ImageIndex, query: string): number | null {
  const named = rows.get(query)
  if (named !== undefined) return named
  if (!facts.source) return null
  const below = relative(facts.source.dir, resolve(query)).split(sep).join('/')
  return rows.get(below) ?? null
}

/** The error for a text that is neither a file nor a name in the index. */
export const unknownQuery = ({ dir, images }: ImageIndex, query: string): SherdError =>
  new SherdError(
    'SOURCE',
    `${query} is neither a file nor the name of an image in ${dir}.${didYouMean(
      query,
      images.slice(0, 10_000).map(({ file }) => file),
    )}`,
  )
