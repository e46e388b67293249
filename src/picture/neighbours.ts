/**
 * The statistics of hidden patches guessed from visible ones: what a normalised-pixel model, which predicts no absolute
 * brightness, can be shown with and leak nothing. Weights fall with the square of the distance on the token grid
 * (Shepard 1968).
 */
import type { PatchStatistics } from '../target/pixels.ts'
import { toDevice } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import { type Tensor, tensor, toArray, toFloats } from '../tensor/tensor.ts'
import type { Grid } from '../token/grid.ts'
import type { MaskPlan } from '../token/mask.ts'

const NEIGHBOURS = 8

/**
 * Mean and deviation of the hidden patches, both [B, M, 1], from those of the visible ones, both [B, K, 1]: each is the
 * mean over the 8 nearest visible patches (or all, if fewer), weighted by 1 / distance². Of equally far patches the one
 * of lower number is taken.
 */
export function statisticsFromNeighbours(
  visible: PatchStatistics,
  plan: MaskPlan,
  grid: Grid,
): PatchStatistics {
  const [B, K] = expectShape(plan.kept, ['B', 'K'], 'statisticsFromNeighbours: plan.kept')
  const [, M] = expectShape(plan.hidden, [B, 'M'], 'statisticsFromNeighbours: plan.hidden')
  expectShape(visible.mean, [B, K, 1], 'statisticsFromNeighbours: visible.mean')
  expectShape(visible.deviation, [B, K, 1], 'statisticsFromNeighbours: visible.deviation')
  const kept = patchNumbers(plan.kept)
  const hidden = patchNumbers(plan.hidden)
  const known = [visible.mean, visible.deviation].map((x) => toFloats(toDevice(x, 'cpu')))
  const guessed = known.map(() => new Float32Array(B * M))

  for (let b = 0; b < B; b++) {
    const row = kept.slice(b * K, (b + 1) * K)
    const places = [...row.keys()].sort((i, j) => row[i]! - row[j]!) // ascending patch number
    for (let m = b * M; m < (b + 1) * M; m++) {
      const near = nearest(hidden[m]!, places, row, grid)
      const total = near.reduce((sum, { weight }) => sum + weight, 0)
      for (const [s, values] of known.entries()) {
        guessed[s]![m] =
          near.reduce((sum, { place, weight }) => sum + weight * values[b * K + place]!, 0) / total
      }
    }
  }
  return scope(() => {
    const [mean, deviation] = guessed.map((x) => toDevice(tensor(x, [B, M, 1]), visible.mean.device))
    return { mean: mean!, deviation: deviation! }
  })
}

interface Neighbour {
  /** Position in the row of kept patches. */
  readonly place: number
  readonly weight: number
}

function nearest(
  patch: number,
  places: readonly number[],
  kept: readonly number[],
  { w }: Grid,
): Neighbour[] {
  const found: Neighbour[] = [] // descending weight
  for (const place of places) {
    const other = kept[place]!
    const rows = Math.floor(other / w) - Math.floor(patch / w)
    const columns = (other % w) - (patch % w)
    const weight = 1 / (rows * rows + columns * columns)
    if (found.length === NEIGHBOURS && weight <= found[NEIGHBOURS - 1]!.weight) continue
    let at = found.length
    while (at > 0 && found[at - 1]!.weight < weight) at--
    found.splice(at, 0, { place, weight })
    if (found.length > NEIGHBOURS) found.pop()
  }
  return found
}

const patchNumbers = (indices: Tensor): number[] => Array.from(toArray(toDevice(indices, 'cpu')), Number)
