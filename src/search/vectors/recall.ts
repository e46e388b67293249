/** Recall of an approximate search, and the expansion that reaches enough of it. */
import { draws } from '../../random/draws.ts'
import { type Candidates, type Near, nearest } from './nearest.ts'
import type { GraphSettings } from './neighbour-graph.ts'
import { pickVectors, type Vectors } from './unit-vectors.ts'

const recallDefaults = { neighbours: 10, queries: 500, enough: 0.95 } as const
const WIDEST = 2048

/**
 * The share of the exact neighbours in `found`. Any row as near as the last exact neighbour counts, since the choice among equal
 * vectors is arbitrary.
 */
export function recallOf(exact: readonly (readonly Near[])[], found: readonly (readonly Near[])[]): number {
  let [hits, all] = [0, 0]
  for (const [i, wanted] of exact.entries()) {
    const least = wanted.at(-1)?.similarity ?? 1 // exact for equal vectors
    hits += Math.min(wanted.length, found[i]!.filter(({ similarity }) => similarity >= least).length)
    all += wanted.length
  }
  return all === 0 ? 1 : hits / all
}

export interface Tuned {
  readonly settings: GraphSettings
  /** Recall at 10. */
  readonly recall: number
}

/**
 * Doubles `expansionSearch` until a random sample of the index's vectors reaches the recall, or up to 2048. `open`: opens the graph
 * with these settings.
 */
export async function tuneGraph(
  vectors: Vectors,
  {
    exact,
    open,
    settings,
  }: { exact: Candidates; open: (settings: GraphSettings) => Promise<Candidates>; settings: GraphSettings },
): Promise<Tuned> {
  const order = draws({ seed: 0, stream: 'recall', epoch: 0, index: 0 }).permutation(vectors.count)
  const rows = order.subarray(0, Math.min(recallDefaults.queries, vectors.count))
  const queries = pickVectors(vectors, rows)
  const ask = (candidates: Candidates) =>
    nearest(queries, { vectors, candidates, count: recallDefaults.neighbours, except: (i) => rows[i]! })
  const truth = await ask(exact)
  for (let tried = settings; ; tried = { ...tried, expansionSearch: 2 * tried.expansionSearch }) {
    const candidates = await open(tried)
    const recall = recallOf(truth, await ask(candidates))
    await candidates.close()
    if (recall >= recallDefaults.enough || tried.expansionSearch >= WIDEST) return { settings: tried, recall }
  }
}
