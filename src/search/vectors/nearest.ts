/**
 * The nearest vectors by cosine similarity. Exact search or a graph gives candidates; both are ranked here in the same way: by
 * products in float64, ties by the lower row.
 */
import { SherdError } from '../../errors.ts'
import { takeTurns } from './event-loop.ts'
import { pickVectors, product, type Vectors } from './unit-vectors.ts'

/** An exact or approximate search. */
export interface Candidates {
  /** Best number of queries per call. */
  readonly atOnce: number
  /** For each query at least `count` rows, or as many as it finds, in any order. */
  rows(queries: Vectors, count: number): Promise<readonly (readonly number[])[]>
  close(): Promise<void>
}

export interface Near {
  readonly row: number
  /** Cosine, −1 to 1. */
  readonly similarity: number
}

/** Additional candidates, since float32 rounding may have changed the order of the last ones. */
const SPARE = 8

/** Norms of float32 vectors are not exactly 1. */
const cosineOf = (product: number): number => Math.max(-1, Math.min(1, product))

export interface NearestOptions {
  readonly vectors: Vectors
  readonly candidates: Candidates
  readonly count: number
  /** The row of query `i` itself, to be left out; null for none. */
  readonly except?: (query: number) => number | null
  readonly onProgress?: (done: number) => void
}

/**
 * The `count` nearest of each query (of length 1), or all if there are fewer. Throws `SHAPE` for queries of another width. Yields to
 * the event loop every few milliseconds.
 */
export async function nearest(queries: Vectors, options: NearestOptions): Promise<Near[][]> {
  const { vectors, candidates, count, except = () => null, onProgress } = options
  if (queries.width !== vectors.width)
    throw new SherdError(
      'SHAPE',
      `The index holds vectors of ${vectors.width} numbers, and the query has ${queries.width}: it is of another model.`,
    )
  const found: Near[][] = []
  const turn = takeTurns()
  const wanted = Math.min(count + SPARE, vectors.count)
  onProgress?.(0)
  await turn()
  for (let first = 0; first < queries.count; first += candidates.atOnce) {
    const length = Math.min(candidates.atOnce, queries.count - first)
    const batch = pickVectors(
      queries,
      Array.from({ length }, (_, i) => first + i),
    )
    for (const [i, rows] of (await candidates.rows(batch, wanted)).entries()) {
      const own = except(first + i)
      found.push(
        rows
          .filter((row) => row !== own)
          .map((row) => ({ row, similarity: cosineOf(product(batch, i, vectors, row)) }))
          .sort((a, b) => b.similarity - a.similarity || a.row - b.row)
          .slice(0, count),
      )
    }
    onProgress?.(first + length)
    await turn()
  }
  return found
}
