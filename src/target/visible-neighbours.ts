/**
 * Estimates the statistics of hidden patches from visible ones, to show predictions of normalised pixels without leaking the
 * true ones. Weights fall with the square of the distance on the token grid (Shepard 1968).
 */
import type { Grid } from '../token/grid.ts'

const NEIGHBOURS = 8

interface Neighbour {
  readonly patch: number
  readonly weight: number
}

/** The 8 nearest of `visible` patches (ascending numbers), or all, if fewer. Of equally far ones that of lower number. */
function nearest(patch: number, visible: readonly number[], { w }: Grid): Neighbour[] {
  const found: Neighbour[] = [] // descending weight
  for (const other of visible) {
    const rows = Math.floor(other / w) - Math.floor(patch / w)
    const columns = (other % w) - (patch % w)
    const weight = 1 / Math.max(rows * rows + columns * columns, 0.25) // the same place in another frame is half a step away
    if (found.length === NEIGHBOURS && weight <= found[NEIGHBOURS - 1]!.weight) continue
    let at = found.length
    while (at > 0 && found[at - 1]!.weight < weight) at--
    found.splice(at, 0, { patch: other, weight })
    if (found.length > NEIGHBOURS) found.pop()
  }
  return found
}

export interface KnownPatches {
  readonly grid: Grid
  /** T */
  readonly frames: number
  /** [T · L], 1 for the patches of one group that are visible. */
  readonly visible: ArrayLike<number>
}

/**
 * Replaces `values` [T · L] of hidden patches by the mean of the nearest visible ones of their frame, weighted by 1 / distance²; of all
 * frames if the frame has no visible patch, and by `otherwise` if no frame has.
 */
export function guessFromNeighbours(
  values: Float32Array,
  { grid, frames, visible }: KnownPatches,
  otherwise: number,
): void {
  const L = grid.h * grid.w
  const seen = Array.from({ length: frames }, (_, t) =>
    Array.from({ length: L }, (_, l) => l).filter((l) => visible[t * L + l] === 1),
  )
  const known = Float32Array.from(values)
  for (let t = 0; t < frames; t++) {
    const sources = seen[t]!.length > 0 ? [t] : [...seen.keys()].filter((other) => seen[other]!.length > 0)
    for (let l = 0; l < L; l++) {
      if (visible[t * L + l] === 1) continue
      const near = sources.flatMap((from) =>
        nearest(l, seen[from]!, grid).map(({ patch, weight }) => ({
          value: known[from * L + patch]!,
          weight,
        })),
      )
      const total = near.reduce((sum, { weight }) => sum + weight, 0)
      values[t * L + l] =
        total === 0 ? otherwise : near.reduce((sum, { value, weight }) => sum + weight * value, 0) / total
    }
  }
}
