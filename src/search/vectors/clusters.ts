/**
 * k-means (Lloyd 1982, k-means++ seeds of Arthur and Vassilvitskii 2007) on vectors of length 1, by ml-kmeans: the best of several starts by
 * inertia. For large sets the centroids are fitted to a sample, as in faiss, and then every vector is assigned.
 */
import { kmeansGenerator } from 'ml-kmeans'
import { SherdError } from '../../errors.ts'
import { draws } from '../../random/draws.ts'
import { takeTurns } from './event-loop.ts'
import { pickVectors, rowOf, type Vectors } from './unit-vectors.ts'

export interface ClusterOptions {
  /** K */
  readonly clusters: number
  readonly seed: number
  readonly starts: number
  readonly maxIterations: number
  /** Size of the sample: per cluster, and at least. */
  readonly perCluster: number
  readonly leastSample: number
}

export const clusterDefaults = {
  ...{ seed: 0, starts: 4, maxIterations: 100, perCluster: 256, leastSample: 8192 },
} as const

export interface Clusters {
  /** [count] */
  readonly assigned: Int32Array
  /** [count]: the distance to the centroid, 0 to 2. */
  readonly distances: Float64Array
  /** Descending. */
  readonly sizes: readonly number[]
  /** [K, D] */
  readonly centroids: readonly Float64Array[]
  /** Sum of squared distances of all vectors to their centroids. */
  readonly inertia: number
  /** Vectors that the centroids were learned from. */
  readonly sampled: number
}

/** Throws `VALUE` for fewer vectors than clusters. */
export async function clustersOf(
  vectors: Vectors,
  options: ClusterOptions,
  onProgress?: (done: number, of: number) => void,
): Promise<Clusters> {
  const { clusters: K, seed, starts, maxIterations, perCluster, leastSample } = options
  const { count } = vectors
  if (!(K >= 1 && K <= count))
    throw new SherdError(
      'VALUE',
      `${K} clusters were asked for, but there are ${count} images: take from 1 to ${count}.`,
    )
  const sampled = Math.min(count, Math.max(K * perCluster, leastSample))
  const order = draws({ seed, stream: 'clusters', epoch: 0, index: 0 }).permutation(count)
  const sample = pickVectors(vectors, order.subarray(0, sampled))
  const data = Array.from({ length: sampled }, (_, row) => Array.from(rowOf(sample, row)))
  const turn = takeTurns()
  let best: Assigned | undefined
  for (let start = 0; start < starts; start++) {
    const one = draws({ seed, stream: 'clusters', epoch: 0, index: 1 + start }).below(2 ** 31)
    let centroids: number[][] = []
    for (const step of kmeansGenerator(data, K, { seed: one, maxIterations })) {
      centroids = step.centroids
      onProgress?.(start * maxIterations + step.iterations - 1, starts * maxIterations)
      await turn()
    }
    const made = await assign(vectors, centroids)
    if (!best || made.inertia < best.inertia) best = made
  }
  return { ...bySize(best!), sampled }
}

type Assigned = Pick<Clusters, 'assigned' | 'distances' | 'centroids' | 'inertia'>

/** The nearest centroid of every vector, ties by index. */
async function assign(vectors: Vectors, given: readonly (readonly number[])[]): Promise<Assigned> {
  const { count, width, values } = vectors
  const centroids = given.map((centroid) => Float64Array.from(centroid))
  const squares = centroids.map((centroid) => centroid.reduce((sum, x) => sum + x * x, 0))
  const assigned = new Int32Array(count)
  const distances = new Float64Array(count)
  const turn = takeTurns()
  let inertia = 0
  for (let row = 0; row < count; row++) {
    let least = Number.POSITIVE_INFINITY
    for (const [k, centroid] of centroids.entries()) {
      let dot = 0
      for (let d = 0, at = row * width; d < width; d++) dot += values[at + d]! * centroid[d]!
      const square = 1 - 2 * dot + squares[k]! // |x| = 1
      if (square < least) {
        least = square
        assigned[row] = k
      }
    }
    least = Math.max(0, least)
    distances[row] = Math.sqrt(least)
    inertia += least
    if (row % 256 === 255) await turn()
  }
  return { assigned, distances, centroids, inertia }
}

/** Numbers the clusters by descending size, so that the numbering does not depend on the starts. */
function bySize({ assigned, distances, centroids, inertia }: Assigned): Omit<Clusters, 'sampled'> {
  const sizes = new Array<number>(centroids.length).fill(0)
  for (const k of assigned) sizes[k]!++
  const order = [...sizes.keys()].sort((a, b) => sizes[b]! - sizes[a]! || a - b)
  const place = new Int32Array(order.length)
  for (const [to, from] of order.entries()) place[from] = to
  return {
    ...{ distances, inertia },
    assigned: assigned.map((k) => place[k]!),
    sizes: order.map((k) => sizes[k]!),
    centroids: order.map((k) => centroids[k]!),
  }
}

/** The rows of each cluster, nearest to its centroid first. */
export function membersOf({ assigned, distances, sizes }: Clusters): number[][] {
  const members: number[][] = sizes.map(() => [])
  for (const [row, k] of assigned.entries()) members[k]!.push(row)
  for (const rows of members) rows.sort((a, b) => distances[a]! - distances[b]! || a - b)
  return members
}
