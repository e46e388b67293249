/** The clusters of an index, and their agreement with the folders of the images. */

import type { ImageIndex } from './index-folder.ts'
import { clusterDefaults, clustersOf, membersOf } from './vectors/clusters.ts'
import { type Agreement, agreementOf } from './vectors/label-agreement.ts'
import { silhouetteOf } from './vectors/silhouette.ts'

export interface ClusterReport {
  readonly clusters: readonly {
    /** Nearest to the centroid first. */
    readonly rows: readonly number[]
    /** The most frequent label and its share; null without labels. */
    readonly label: { readonly name: string; readonly share: number } | null
  }[]
  readonly assigned: Int32Array
  /** The distance of each image to its centroid, 0 to 2. */
  readonly distances: Float64Array
  readonly inertia: number
  /** Images that the centroids were learned from. */
  readonly sampled: number
  /** Of a sample of 1000 images; null for one cluster. */
  readonly silhouette: number | null
  /** With the labels; null without labels. */
  readonly agreement: Agreement | null
}

export interface ClusteringOptions {
  readonly clusters: number
  readonly seed?: number
  /** Rounds of all starts, of which there are at most so many. */
  readonly onProgress?: (done: number, of: number) => void
}

/** Throws `VALUE` for fewer images than clusters. */
export async function findClusters(
  { vectors, images, facts }: ImageIndex,
  { clusters, seed = clusterDefaults.seed, onProgress }: ClusteringOptions,
): Promise<ClusterReport> {
  const found = await clustersOf(vectors, { ...clusterDefaults, clusters, seed }, onProgress)
  const given = images.map(({ label }) => label ?? -1)
  const labels = given.includes(-1) || facts.classes.length < 2 ? null : given
  const { assigned, distances, inertia, sampled } = found
  return {
    ...{ assigned, distances, inertia, sampled },
    clusters: membersOf(found).map((rows) => ({ rows, label: labels && usual(rows, labels, facts.classes) })),
    silhouette: await silhouetteOf(vectors, assigned),
    agreement: labels && agreementOf(assigned, labels),
  }
}

function usual(rows: readonly number[], labels: readonly number[], classes: readonly string[]) {
  const counts = new Map<number, number>()
  for (const row of rows) counts.set(labels[row]!, (counts.get(labels[row]!) ?? 0) + 1)
  const [best] = [...counts].sort(([a, x], [b, y]) => y - x || a - b)
  return best ? { name: classes[best[0]] ?? String(best[0]), share: best[1] / rows.length } : null
}
