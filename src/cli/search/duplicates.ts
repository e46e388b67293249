/** `sherd duplicates`: near-duplicates in an index. Nothing is removed. */
import { type Command, InvalidArgumentError } from 'commander'
import type { DuplicateReport } from '../../search/index-duplicates.ts'
import { describeCommand } from '../help.ts'
import { ending } from '../options.ts'
import { many, note, print, printJson, table } from '../output.ts'
import { endProgress } from '../progress.ts'
import { addReadingOptions, type ReadingFlags, readingOf } from '../reading-options.ts'
import { addIndexOptions, type IndexFlags, openFlagged, watched, writeResult } from './index-options.ts'

interface Flags extends IndexFlags, ReadingFlags {
  readonly threshold: number
  readonly csv?: string
}

function similarity(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value > -1 && value <= 1))
    throw new InvalidArgumentError('Expected a cosine similarity, above -1 and up to 1.')
  return value
}

export function addDuplicates(root: Command): void {
  const command = addIndexOptions(
    describeCommand(root.command('duplicates'), {
      group: 'Search images',
      page: 'search.md',
      examples: [
        'sherd duplicates --index photos.index  # groups of images that are nearly the same',
        'sherd duplicates --index photos.index --threshold 0.95 --csv groups.csv --out groups.png  # less alike, as a table and a picture',
      ],
    }).description('find images of an index that are nearly the same'),
  )
    .option(
      '--threshold <s>',
      'cosine similarity from which two images are near-duplicates',
      similarity,
      0.98,
    )
    .option('--csv <file>', 'all groups as CSV', ending('.csv'))
    .action(runDuplicates)
  addReadingOptions(command, { ofModel: false })
}

async function runDuplicates(flags: Flags): Promise<void> {
  const { findDuplicates } = await import('../../search/index-duplicates.ts')
  const { duplicatesTable } = await import('../../search/index-tables.ts')
  const index = await openFlagged(flags)
  try {
    const report = await findDuplicates(index, {
      threshold: flags.threshold,
      reading: readingOf(flags),
      onProgress: watched('comparing'),
    })
    endProgress()
    const sheet = flags.out === undefined ? null : await drawSheet()
    const csv = flags.csv === undefined ? null : writeResult(flags.csv, duplicatesTable(report))
    if (flags.json)
      return printJson({
        ...{ kind: 'duplicates', index: index.dir, isExact: index.isExact, ...report, sheet, csv },
      })
    await printReport(report)
    if (!report.isComplete)
      note(
        index.isExact
          ? 'Some images have more than a thousand that are so similar: groups were made of their nearest, and pairs are missing.'
          : `Approximate: groups were made of what the graph finds for each image, and pairs can be missing. --exact compares all.`,
      )
    for (const path of [sheet, csv]) if (path) print(path)

    async function drawSheet(): Promise<string> {
      const { drawDuplicates } = await import('../../search/index-sheets.ts')
      return writeResult(flags.out!, await drawDuplicates(index, report))
    }
  } finally {
    await index.close()
  }
}

const LISTED = 20

async function printReport({
  groups,
  pairs,
  threshold,
  nearest,
  others,
  linkedFolders,
}: DuplicateReport): Promise<void> {
  const { shownOf } = await import('../../search/index-duplicates.ts')
  const images = groups.reduce((sum, each) => sum + each.images.length, 0)
  print(
    `${many(groups.length, 'group')} of ${many(images, 'image')} (${many(pairs, 'pair')}) with a similarity of at least ${threshold}`,
  )
  for (const [i, { images: copies, least, most }] of groups.slice(0, LISTED).entries()) {
    print(`${i + 1}: ${copies.length} images, ${least.toFixed(4)} to ${most.toFixed(4)}`)
    const size = (width: number | null, height: number | null) =>
      width === null ? '' : `${width} × ${height}`
    print(
      table(
        shownOf(copies, LISTED).map(({ file, width, height, bytes, keep, link }) => [
          keep ? '  keep' : link ? '  link' : '',
          size(width, height),
          bytes === null ? '' : `${bytes} bytes`,
          link ? `${file} ${link.kind === 'hard' ? '=' : '→'} ${link.to}` : file,
        ]),
        [1, 2],
      ),
    )
    if (copies.length > LISTED) print(`        … and ${copies.length - LISTED} more`)
  }
  const links = groups.flatMap((group) => group.images.filter(({ link }) => link)).length
  if (links > 0)
    print(
      `${many(links, 'name')} of them ${links === 1 ? 'is a link' : 'are links'} (→) or another name (=) of a file: removing one frees no room`,
    )
  for (const { link, target } of linkedFolders.slice(0, LISTED))
    print(`${link} is a link to ${target}, whose images are read once`)
  if (linkedFolders.length > LISTED) print(`… and ${linkedFolders.length - LISTED} more linked folders`)
  if (groups.length > LISTED) print(`… and ${groups.length - LISTED} more groups`)
  if (groups.length > LISTED || groups.some((group) => group.images.length > LISTED))
    print('--csv or --json lists all')
  if (nearest.length === 0) return
  print('')
  print('Whether the threshold is right depends on the model. Similarity of images to their nearest other:')
  const share = (value: number) => (value === 0 ? 'least' : value === 1 ? 'most' : `${100 * value} %`)
  print(
    table(
      [nearest.map((each) => share(each.share)), nearest.map((each) => each.similarity.toFixed(4))],
      nearest.map((_, i) => i),
    ),
  )
  print('Images that have one at least so similar:')
  print(
    table(
      [others.map((each) => `≥ ${each.threshold}`), others.map((each) => String(each.images))],
      others.map((_, i) => i),
    ),
  )
}
