/** Contact sheets of search results, duplicates, outliers and clusters. */
import { basename } from 'node:path'
import { drawContactSheet, type SheetCell } from '../picture/contact-sheet.ts'
import type { Tile } from '../picture/tile.ts'
import type { ClusterReport } from './index-clusters.ts'
import { type DuplicateReport, shownOf } from './index-duplicates.ts'
import type { ImageIndex } from './index-folder.ts'
import type { NamedOutlier } from './index-outliers.ts'
import type { Found } from './search-index.ts'
import { thumbnailsOf } from './thumbnails.ts'

const COLUMNS = 10
const decimals = (value: number, digits = 3) => value.toFixed(digits)
const many = (count: number, one: string, more = `${one}s`) => `${count} ${count === 1 ? one : more}`

/** The search method, for the foot of a sheet. */
const methodOf = ({ isExact, facts }: ImageIndex): string =>
  isExact
    ? `exact search of ${many(facts.count, 'image')}`
    : `approximate search of ${many(facts.count, 'image')} (it finds ${decimals(100 * facts.graph!.recall, 1)} % of the ten nearest)`

export interface Asked {
  readonly name: string
  readonly tile: Tile | null
  readonly found: readonly Found[]
}

/** A row for each query: the query, then the nearest images. */
export async function drawFound(index: ImageIndex, queries: readonly Asked[]): Promise<Buffer> {
  const rows = queries.flatMap(({ found }) => found.map(({ row }) => row))
  const tiles = await thumbnailsOf(index, rows)
  const most = Math.max(0, ...queries.map(({ found }) => found.length))
  return drawContactSheet({
    title: 'Most similar images',
    subtitle: `${basename(index.dir)}: the query is framed, below each image its cosine similarity`,
    footer: methodOf(index),
    columns: Math.min(COLUMNS, Math.max(1, most)),
    rows: queries.map(({ name, tile, found }) => ({
      lead: { tile, name, note: 'query', isMarked: true },
      cells: found.map(({ row, file, similarity }) => ({
        ...{ tile: tiles.get(row) ?? null, name: file, note: decimals(similarity) },
      })),
    })),
  })
}

const bytesText = (bytes: number): string =>
  bytes < 1e6 ? `${decimals(bytes / 1e3, bytes < 1e4 ? 1 : 0)} kB` : `${decimals(bytes / 1e6, 1)} MB`

const GROUPS = 24 // of a sheet

const rangeOf = (least: number, most: number): string =>
  most - least < 5e-5 ? decimals(most, 4) : `${decimals(least, 4)} to ${decimals(most, 4)}`

/** A row for each group, largest first; the image to keep is framed. */
export async function drawDuplicates(index: ImageIndex, report: DuplicateReport): Promise<Buffer> {
  const shown = report.groups.slice(0, GROUPS)
  const tiles = await thumbnailsOf(
    index,
    shown.flatMap(({ images }) => shownOf(images, 2 * COLUMNS).map(({ row }) => row)),
  )
  const all = report.groups.reduce((sum, { images }) => sum + images.length, 0)
  return drawContactSheet({
    title: `Near-duplicates: ${many(report.groups.length, 'group')} of ${many(all, 'image')}`,
    subtitle: `${basename(index.dir)}: cosine similarity of at least ${report.threshold}; the framed image has most pixels, then most bytes`,
    footer: [
      report.groups.length > shown.length ? `The ${shown.length} largest groups are shown` : '',
      methodOf(index),
      report.isComplete ? '' : 'pairs may have been missed',
    ]
      .filter((text) => text !== '')
      .join(' · '),
    columns: COLUMNS,
    isDense: true,
    rows: shown.map(({ images, least, most }, i) => ({
      caption: `${i + 1} · ${many(images.length, 'image')}, ${rangeOf(least, most)}${images.length > 2 * COLUMNS ? `, ${2 * COLUMNS} of them shown` : ''}`,
      cells: shownOf(images, 2 * COLUMNS).map(
        ({ row, file, width, height, bytes, keep }): SheetCell => ({
          ...{ tile: tiles.get(row) ?? null, name: file, isMarked: keep },
          note: [width === null ? '' : `${width} × ${height}`, bytes === null ? '' : bytesText(bytes)]
            .filter((text) => text !== '')
            .join(', '),
        }),
      ),
    })),
  })
}

/** Farthest first. */
export async function drawOutliers(
  index: ImageIndex,
  outliers: readonly NamedOutlier[],
  neighbours: number,
): Promise<Buffer> {
  const tiles = await thumbnailsOf(
    index,
    outliers.map(({ row }) => row),
  )
  return drawContactSheet({
    title: 'Outliers',
    subtitle: `${basename(index.dir)}: below each image its mean cosine distance to the ${neighbours} nearest others, the farthest first`,
    footer: methodOf(index),
    columns: COLUMNS,
    rows: [
      {
        cells: outliers.map(({ row, file, score }) => ({
          ...{ tile: tiles.get(row) ?? null, name: file, note: decimals(score) },
        })),
      },
    ],
  })
}

/** A row for each cluster, with the images nearest to its centroid. */
export async function drawClusters(index: ImageIndex, report: ClusterReport): Promise<Buffer> {
  const { clusters, silhouette, agreement, distances } = report
  const shown = clusters.map(({ rows }) => rows.slice(0, COLUMNS))
  const tiles = await thumbnailsOf(index, shown.flat())
  const judged = [
    silhouette === null ? '' : `silhouette ${decimals(silhouette)}`,
    agreement ? `with the folders: NMI ${decimals(agreement.nmi)}, purity ${decimals(agreement.purity)}` : '',
  ].filter((text) => text !== '')
  return drawContactSheet({
    title: many(clusters.length, 'cluster'),
    subtitle: `${basename(index.dir)}: of each the images nearest to its centroid, with their distance${judged.map((text) => ` · ${text}`).join('')}`,
    footer: `k-means on vectors of length 1, learned from ${report.sampled} of ${many(index.facts.count, 'image')}`,
    columns: COLUMNS,
    rows: clusters.map(({ rows, label }, k) => ({
      caption: `${k} · ${many(rows.length, 'image')}${label ? `, ${decimals(100 * label.share, 0)} % ${label.name}` : ''}`,
      cells: shown[k]!.map((row) => ({
        ...{ tile: tiles.get(row) ?? null, name: index.images[row]!.file, note: decimals(distances[row]!) },
      })),
    })),
  })
}
