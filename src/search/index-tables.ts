/** Duplicates, outliers and clusters as CSV. */

import { csv } from '../files/csv.ts'
import type { ClusterReport } from './index-clusters.ts'
import type { DuplicateReport } from './index-duplicates.ts'
import type { ImageIndex } from './index-folder.ts'
import type { NamedOutlier } from './index-outliers.ts'

/** Every image of every group; `keep` is 1 for the suggested one, `link_to` is the target of a link. */
export const duplicatesTable = ({ groups }: DuplicateReport): string =>
  csv([
    ['group', 'file', 'keep', 'width', 'height', 'bytes', 'link', 'link_to'],
    ...groups.flatMap(({ images }, i) =>
      images.map(({ file, keep, width, height, bytes, link }) => [
        ...[i + 1, file, Number(keep), width, height, bytes],
        ...[link?.kind ?? '', link?.to ?? ''],
      ]),
    ),
  ])

export const outliersTable = (outliers: readonly NamedOutlier[]): string =>
  csv([
    ['file', 'score', 'farthest'],
    ...outliers.map(({ file, score, farthest }) => [file, score, farthest]),
  ])

export const clustersTable = (
  { images }: Pick<ImageIndex, 'images'>,
  { assigned, distances }: Pick<ClusterReport, 'assigned' | 'distances'>,
): string =>
  csv([
    ['file', 'cluster', 'distance'],
    ...images.map(({ file }, row) => [file, assigned[row]!, distances[row]!]),
  ])
