/** `sherd clusters`: k-means on the images of an index. */
import type { Command } from 'commander'
import { describeCommand } from '../help.ts'
import { ending, wholeNumber } from '../options.ts'
import { print, printJson, table } from '../output.ts'
import { endProgress } from '../progress.ts'
import { addIndexOptions, type IndexFlags, openFlagged, watched, writeResult } from './index-options.ts'

interface Flags extends IndexFlags {
  readonly count: number
  readonly seed: number
}

export function addClusters(root: Command): void {
  addIndexOptions(
    describeCommand(root.command('clusters'), {
      group: 'Search images',
      page: 'search.md',
      examples: [
        'sherd clusters --index photos.index --count 12 --out groups.png  # twelve groups, as a picture',
        'sherd clusters --index photos.index --count 12 --csv groups.csv  # the group of every image',
      ],
    }).description('sort the images of an index into groups that are alike'),
  )
    .requiredOption('--count <k>', 'clusters', wholeNumber(1))
    .option('--seed <n>', 'of the starts', wholeNumber(0), 0)
    .option('--csv <file>', 'the cluster of every image as CSV', ending('.csv'))
    .action(runClusters)
}

async function runClusters(flags: Flags): Promise<void> {
  const { findClusters } = await import('../../search/index-clusters.ts')
  const { clustersTable } = await import('../../search/index-tables.ts')
  const index = await openFlagged({ ...flags, exact: true }) // needs no graph
  try {
    const report = await findClusters(index, {
      ...{ clusters: flags.count, seed: flags.seed },
      onProgress: watched('clustering', 'rounds'),
    })
    endProgress()
    const sheet = flags.out === undefined ? null : await drawSheet(flags.out)
    const csv = flags.csv === undefined ? null : writeResult(flags.csv, clustersTable(index, report))
    const { silhouette, agreement, inertia, sampled } = report
    const sizes = report.clusters.map(({ rows, label }) => ({ images: rows.length, label }))
    if (flags.json) {
      const assigned = index.images.map(({ file }, row) => ({ file, cluster: report.assigned[row]! }))
      return printJson({
        ...{ kind: 'clusters', index: index.dir, clusters: sizes, silhouette, agreement, inertia, sampled },
        ...{ assigned, sheet, csv },
      })
    }
    print(
      table(
        sizes.map(({ images, label }, k) => [
          `${k}`,
          `${images} images`,
          label ? `${(100 * label.share).toFixed(0)} % ${label.name}` : '',
        ]),
        [0, 1],
      ),
    )
    if (silhouette !== null)
      print(
        `silhouette ${silhouette.toFixed(3)} (1: well apart, 0: they touch; compare other numbers of clusters)`,
      )
    if (agreement)
      print(`with the folders: NMI ${agreement.nmi.toFixed(3)}, purity ${agreement.purity.toFixed(3)}`)
    for (const path of [sheet, csv]) if (path) print(path)

    async function drawSheet(out: string): Promise<string> {
      const { drawClusters } = await import('../../search/index-sheets.ts')
      return writeResult(out, await drawClusters(index, report))
    }
  } finally {
    await index.close()
  }
}
