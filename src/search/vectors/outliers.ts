/**
 * kNN outliers: the mean cosine distance to the k nearest neighbours (Angiulli and Pizzuti 2002; Ramaswamy et al. 2000 take the distance
 * to the k-th alone). An image with a high score is odd, damaged, mislabelled, or just rare.
 */
import type { Neighbourhoods } from './neighbourhoods.ts'

export const outlierDefaults = { neighbours: 10 } as const

export interface Outlier {
  readonly row: number
  /** Mean of 1 − cosine similarity, 0 to 2. */
  readonly score: number
  /** 1 − cosine similarity of the k-th neighbour. */
  readonly farthest: number
}

/** All vectors, highest score first, ties by row. */
export function outliersOf({ count, neighbours, rows, similarities }: Neighbourhoods): Outlier[] {
  const scores = Array.from({ length: count }, (_, row) => {
    const found = similarities
      .subarray(row * neighbours, (row + 1) * neighbours)
      .filter((_, i) => rows[row * neighbours + i]! >= 0)
    const mean = found.reduce((sum, similarity) => sum + (1 - similarity), 0) / found.length
    return { row, score: found.length === 0 ? 0 : mean, farthest: 1 - (found.at(-1) ?? 1) }
  })
  return scores.sort((a, b) => b.score - a.score || a.row - b.row)
}
