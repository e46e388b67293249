/** `sherd outliers`: the images of an index that are farthest from their neighbours. */
import type { Command } from 'commander'
import { describeCommand } from '../help.ts'
import { ending, wholeNumber } from '../options.ts'
import { print, printJson, table } from '../output.ts'
import { endProgress } from '../progress.ts'
import { addIndexOptions, type IndexFlags, openFlagged, watched, writeResult } from './index-options.ts'

interface Flags extends IndexFlags {
  readonly count: number
  readonly neighbours: number
}

export function addOutliers(root: Command): void {
  addIndexOptions(
    describeCommand(root.command('outliers'), {
      group: 'Search images',
      page: 'search.md',
      examples: [
        'sherd outliers --index photos.index --out odd.png  # the twenty that are least like others, as a picture',
      ],
    }).description('find the images of an index that are least like others'),
  )
    .option('--count <n>', 'images to show', wholeNumber(1), 20)
    .option('--neighbours <k>', 'neighbours whose mean distance is the score', wholeNumber(1), 10)
    .option('--csv <file>', 'the score of every image as CSV', ending('.csv'))
    .action(runOutliers)
}

async function runOutliers(flags: Flags): Promise<void> {
  const { findOutliers } = await import('../../search/index-outliers.ts')
  const { outliersTable } = await import('../../search/index-tables.ts')
  const index = await openFlagged(flags)
  try {
    const all = await findOutliers(index, { neighbours: flags.neighbours, onProgress: watched('comparing') })
    endProgress()
    const shown = all.slice(0, flags.count)
    const neighbours = Math.min(flags.neighbours, index.facts.count - 1)
    const sheet = flags.out === undefined ? null : await drawSheet(flags.out)
    const csv = flags.csv === undefined ? null : writeResult(flags.csv, outliersTable(all))
    const outliers = shown.map(({ file, score, farthest }) => ({ file, score, farthest }))
    if (flags.json)
      return printJson({
        ...{ kind: 'outliers', index: index.dir, isExact: index.isExact, neighbours, outliers, sheet, csv },
      })
    print(
      `mean cosine distance to the ${neighbours} nearest others; median ${all[all.length >> 1]!.score.toFixed(4)}`,
    )
    print(table(outliers.map(({ file, score }) => [`  ${score.toFixed(4)}`, file])))
    for (const path of [sheet, csv]) if (path) print(path)

    async function drawSheet(out: string): Promise<string> {
      const { drawOutliers } = await import('../../search/index-sheets.ts')
      return writeResult(out, await drawOutliers(index, shown, neighbours))
    }
  } finally {
    await index.close()
  }
}
