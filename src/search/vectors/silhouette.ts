/**
 * The silhouette (Rousseeuw 1987): (b − a) / max(a, b), −1 to 1, of the mean distances to a vector's own cluster (a) and to the nearest
 * other one (b). On a sample, since it compares all pairs.
 */
import { draws } from '../../random/draws.ts'
import { takeTurns } from './event-loop.ts'
import { pickVectors, product, type Vectors } from './unit-vectors.ts'

const silhouetteDefaults = { sample: 1000, seed: 0 } as const

/**
 * The mean over the sample, by Euclidean distance; 0 for a vector that is alone in its cluster. Null if fewer than two clusters are in
 * the sample.
 */
export async function silhouetteOf(
  vectors: Vectors,
  assigned: Int32Array,
  { sample, seed }: { sample: number; seed: number } = silhouetteDefaults,
): Promise<number | null> {
  const order = draws({ seed, stream: 'silhouette', epoch: 0, index: 0 }).permutation(vectors.count)
  const rows = order.subarray(0, Math.min(sample, vectors.count))
  const drawn = pickVectors(vectors, rows)
  const labels = Int32Array.from(rows, (row) => assigned[row]!)
  const sizes = new Map<number, number>()
  for (const label of labels) sizes.set(label, (sizes.get(label) ?? 0) + 1)
  if (sizes.size < 2) return null
  const turn = takeTurns()
  let total = 0
  for (let i = 0; i < labels.length; i++) {
    const sums = new Map<number, number>()
    for (let j = 0; j < labels.length; j++) {
      if (i === j) continue
      const distance = Math.sqrt(Math.max(0, 2 - 2 * product(drawn, i, drawn, j)))
      sums.set(labels[j]!, (sums.get(labels[j]!) ?? 0) + distance)
    }
    const own = labels[i]!
    const alone = sizes.get(own) === 1
    let b = Number.POSITIVE_INFINITY
    for (const [label, sum] of sums) if (label !== own) b = Math.min(b, sum / sizes.get(label)!)
    const a = alone ? 0 : sums.get(own)! / (sizes.get(own)! - 1)
    if (!alone && Math.max(a, b) > 0) total += (b - a) / Math.max(a, b)
    await turn()
  }
  return total / labels.length
}
