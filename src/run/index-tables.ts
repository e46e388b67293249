/** What was found in an index as CSV (RFC 4180), for spreadsheets and pandas. */
import type { ClusterReport } from './clusters.ts'
import type { DuplicateReport } from './duplicates.ts'
import type { ImageIndex } from './index-folder.ts'
import type { NamedOutlier } from './outliers.ts'

type Value = string | number | null

function cell(value: Value): string {
  const text = value === null ? '' : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

const csv = (rows: readonly (readonly Value[])[]): string =>
  `${rows.map((row) => row.map(cell).join(',')).join('\n')}\n`

/** Every image of every group; `keep` is 1 for the one that is suggested. */
export const duplicatesTable = ({ groups }: DuplicateReport): string =>
  csv([
    ['group', 'file', 'keep', 'width', 'height', 'bytes'],
    ...groups.flatMap(({ images }, i) =>
      images.map(({ file, keep, width, height, bytes }) => [i + 1, file, Number(keep), width, height, bytes]),
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
