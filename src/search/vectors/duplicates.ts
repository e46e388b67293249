/** Near-duplicates: connected components of the pairs of vectors above a similarity. */
import { type Candidates, nearest } from './nearest.ts'
import type { Neighbourhoods } from './neighbourhoods.ts'
import { pickVectors, type Vectors } from './unit-vectors.ts'

/** A usual threshold; the right one depends on the encoder. */
export const duplicateDefaults = { threshold: 0.98, neighbours: 32, most: 1024 } as const
const ROUNDING = 1e-6 // the product of a float32 unit vector with itself may be 1 − 1e-7

export interface DuplicateGroup {
  /** Ascending. */
  readonly rows: readonly number[]
  /** Similarities of the least and the most similar pair in it. */
  readonly least: number
  readonly most: number
}

export interface Duplicates {
  /** Largest first, then most similar. */
  readonly groups: readonly DuplicateGroup[]
  readonly pairs: number
  /** False if pairs may be missing. */
  readonly isComplete: boolean
  /** Whether some vectors have more neighbours than were looked at. */
  readonly isCut: boolean
}

/**
 * The connected components of all pairs of at least `threshold`. A vector whose `neighbours` are all above it is searched again with four
 * times as many, up to `most`; an approximate search (`isExact` false) can miss pairs.
 */
export async function duplicatesOf(
  vectors: Vectors,
  {
    candidates,
    neighbourhoods,
    threshold,
    isExact,
    most = duplicateDefaults.most,
  }: {
    candidates: Candidates
    neighbourhoods: Neighbourhoods
    threshold: number
    isExact: boolean
    most?: number
  },
): Promise<Duplicates> {
  const { count, neighbours, rows, similarities } = neighbourhoods
  const least = threshold - ROUNDING
  const found = new Map<number, Map<number, number>>() // lower row → higher row → similarity
  const add = (a: number, b: number, similarity: number) => {
    const [low, high] = a < b ? [a, b] : [b, a]
    const others = found.get(low) ?? new Map<number, number>()
    found.set(low, others.set(high, similarity))
  }
  let full: number[] = []
  for (let row = 0; row < count; row++)
    for (let i = 0; i < neighbours; i++) {
      const at = row * neighbours + i
      if (rows[at]! < 0 || similarities[at]! < least) break
      add(row, rows[at]!, similarities[at]!)
      if (i === neighbours - 1 && neighbours < count - 1) full.push(row)
    }
  for (let k = 4 * neighbours; full.length > 0 && k <= most; k *= 4) {
    const asked = full
    const wider = await nearest(pickVectors(vectors, asked), {
      ...{ vectors, candidates, count: k, except: (i: number) => asked[i]! },
    })
    full = []
    for (const [i, list] of wider.entries()) {
      const near = list.filter(({ similarity }) => similarity >= least)
      for (const { row, similarity } of near) add(asked[i]!, row, similarity)
      if (near.length === k && k < count - 1) full.push(asked[i]!)
    }
  }
  const pairs = [...found].flatMap(([a, others]) => [...others].map(([b, s]) => [a, b, s] as const))
  const isCut = full.length > 0
  return { groups: groupsOf(count, pairs), pairs: pairs.length, isComplete: isExact && !isCut, isCut }
}

/** The connected components of `pairs` (row, row, similarity). */
export function groupsOf(
  count: number,
  pairs: readonly (readonly [number, number, number])[],
): DuplicateGroup[] {
  const parent = Int32Array.from({ length: count }, (_, row) => row)
  const rootOf = (row: number): number => {
    let root = row
    while (parent[root] !== root) {
      parent[root] = parent[parent[root]!]! // path halving
      root = parent[root]!
    }
    return root
  }
  for (const [a, b] of pairs) {
    const [x, y] = [rootOf(a), rootOf(b)]
    parent[Math.max(x, y)] = Math.min(x, y)
  }
  const groups = new Map<number, { rows: Set<number>; least: number; most: number }>()
  for (const [a, b, similarity] of pairs) {
    const root = rootOf(a)
    const group = groups.get(root) ?? { rows: new Set<number>(), least: 1, most: -1 }
    group.rows.add(a).add(b)
    group.least = Math.min(group.least, similarity)
    group.most = Math.max(group.most, similarity)
    groups.set(root, group)
  }
  return [...groups.values()]
    .map(({ rows, ...rest }) => ({ rows: [...rows].sort((a, b) => a - b), ...rest }))
    .sort((a, b) => b.rows.length - a.rows.length || b.most - a.most || a.rows[0]! - b.rows[0]!)
}
