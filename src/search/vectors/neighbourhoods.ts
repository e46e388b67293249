/** The nearest neighbours of every vector of an index, for duplicates and outliers. */
import { type Candidates, nearest } from './nearest.ts'
import type { Vectors } from './unit-vectors.ts'

export interface Neighbourhoods {
  readonly count: number
  /** k, at most count − 1. */
  readonly neighbours: number
  /** [count, k], nearest first; −1 where an approximate search has found fewer. */
  readonly rows: Int32Array
  /** [count, k] */
  readonly similarities: Float64Array
}

export async function neighbourhoodsOf(
  vectors: Vectors,
  candidates: Candidates,
  k: number,
  onProgress?: (done: number) => void,
): Promise<Neighbourhoods> {
  const { count } = vectors
  const neighbours = Math.max(0, Math.min(k, count - 1))
  const rows = new Int32Array(count * neighbours).fill(-1)
  const similarities = new Float64Array(count * neighbours).fill(-1)
  const found =
    neighbours === 0
      ? []
      : await nearest(vectors, {
          ...{ vectors, candidates, count: neighbours, except: (row: number) => row },
          ...(onProgress && { onProgress }),
        })
  for (const [row, list] of found.entries())
    for (const [i, near] of list.entries()) {
      rows[row * neighbours + i] = near.row
      similarities[row * neighbours + i] = near.similarity
    }
  return { count, neighbours, rows, similarities }
}

/** The similarity of every vector to its nearest neighbour, ascending. */
export const nearestSimilarities = ({ count, neighbours, similarities }: Neighbourhoods): Float64Array =>
  neighbours === 0
    ? new Float64Array(0)
    : Float64Array.from({ length: count }, (_, row) => similarities[row * neighbours]!).sort()
