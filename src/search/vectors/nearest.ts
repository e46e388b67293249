/**
 * The nearest vectors by cosine similarity. Exact search or a graph names candidates; what is told of them is computed here, in one
 * way for both: products in float64, the largest first, of equal ones the lower row.
 */
import { SherdError } from '../../errors.ts'
import { takeTurns } from './event-loop.ts'
import { pickVectors, product, type Vectors } from './unit-vectors.ts'

/** What finds rows that are near. */
export interface Candidates {
  /** Queries that are best asked at once. */
  readonly atOnce: number
  /** For each query at least the `count` nearest rows, as far as it finds them, in any order. */
  rows(queries: Vectors, count: number): Promise<readonly (readonly number[])[]>
  close(): Promise<void>
}

export interface Near {
  readonly row: number
  /** Of cosine, −1 to 1. */
  readonly similarity: number
}

/** More candidates than are wanted: rounding may have put the last ones in another order. */
const SPARE = 8

/** Vectors of float32 are not quite of length 1. */
const cosineOf = (product: number): number => Math.max(-1, Math.min(1, product))

export interface NearestOptions {
  readonly vectors: Vectors
  readonly candidates: Candidates
  readonly count: number
  /** The row that query `i` is itself and that is not told; null for none. */
  readonly except?: (query: number) => number | null
  readonly onProgress?: (done: number) => void
}

/**
 * The `count` nearest of each query, of length 1, or all when there are fewer. Throws `SHAPE` for queries of another width. Lets the
 * event loop have its turn every few milliseconds.
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
