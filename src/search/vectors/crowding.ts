/**
 * Whether a threshold tells near-duplicates from vectors that merely lie close together, as those of a model that was hardly trained do.
 * Copies are similar to all of their group; in a crowd, chains of neighbours join what has little in common.
 */
import { draws } from '../../random/draws.ts'
import type { DuplicateGroup } from './duplicates.ts'
import { product, type Vectors } from './unit-vectors.ts'

export interface Crowding {
  /** Vectors in the largest group. */
  readonly largest: number
  /** The share of the pairs in it that are so similar. */
  readonly density: number
  /** The share of all pairs that are so similar. */
  readonly ofAll: number
}

const SAMPLED = 1000 // pairs
/** Groups below this share of all, or this size, are no crowd. */
const LEAST_SHARE = 0.1
const LEAST_SIZE = 20
/** In a chain fewer of the pairs are similar. */
const CHAIN = 0.5
/** More of all pairs are not copies. */
const MOST_OF_ALL = 0.5

/** The share of random pairs of some rows with at least the similarity. */
function densityOf(vectors: Vectors, rows: readonly number[], threshold: number): number {
  const { below } = draws({ seed: 0, stream: 'crowding', epoch: 0, index: rows.length })
  let similar = 0
  for (let i = 0; i < SAMPLED; i++) {
    const a = below(rows.length)
    const b = (a + 1 + below(rows.length - 1)) % rows.length // another one
    if (product(vectors, rows[a]!, vectors, rows[b]!) >= threshold) similar++
  }
  return similar / SAMPLED
}

/** Null if the groups are no crowd. `groups`: the largest first. */
export function crowdingOf(
  vectors: Vectors,
  groups: readonly Pick<DuplicateGroup, 'rows'>[],
  threshold: number,
): Crowding | null {
  const largest = groups[0]?.rows ?? []
  if (largest.length < Math.max(LEAST_SIZE, LEAST_SHARE * vectors.count)) return null
  const density = densityOf(vectors, largest, threshold)
  const ofAll = densityOf(
    vectors,
    Array.from({ length: vectors.count }, (_, row) => row),
    threshold,
  )
  return density < CHAIN || ofAll > MOST_OF_ALL ? { largest: largest.length, density, ofAll } : null
}
