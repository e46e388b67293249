/** `sherd duplicates`: near-duplicates in an index. Nothing is removed. */
import { type Command, InvalidArgumentError } from 'commander'
import type { DuplicateCrowding, DuplicateReport } from '../../search/index-duplicates.ts'
import { describeCommand } from '../help.ts'
import { ending } from '../options.ts'
import { grouped, many, note, print, printCommand, printJson, table, warn } from '../output.ts'
import { ownName, quoted } from '../own-name.ts'
import { endProgress } from '../progress.ts'
import { addReadingOptions, type ReadingFlags, readingOf } from '../reading-options.ts'
import { addIndexOptions, type IndexFlags, openFlagged, watched, writeResult } from './index-options.ts'

interface Flags extends IndexFlags, ReadingFlags {
  readonly threshold: number
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
    await printReport(report, index.dir)
    if (!report.isComplete && !report.crowding)
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
const percent = (share: number) => `${Math.round(100 * share)} %`

/** Says why groups of images that are merely alike are not listed, what helps, and which files are copies for certain. */
function printCrowding(
  { largest, density, ofAll, better, model, identical }: DuplicateCrowding,
  { threshold, dir, isListed }: { threshold: number; dir: string; isListed: boolean },
): void {
  const why =
    ofAll > 0.5
      ? `${percent(ofAll)} of all pairs of images are at least ${threshold} similar`
      : `one group holds ${grouped(largest)} images, of whose pairs only ${percent(density)} are at least ${threshold} similar`
  warn(`The groups say nothing about copies: ${why}. Images that are merely alike are that near, too.`)
  const next = `${ownName()} duplicates --index ${quoted(dir)} --threshold`
  if (better !== null) {
    print(`From ${better} on the groups are no chains:`)
    printCommand(`  ${next} ${better}`)
  }
  if (model || better === null) {
    print('An index by a model that is trained on such images tells more:')
    printCommand(`  ${ownName()} index DIR --model MODEL --out ${quoted(`${dir}.new`)}`)
  }
  if (identical) {
    const files = identical.reduce((sum, each) => sum + each.files.length, 0)
    print(
      identical.length === 0
        ? 'No two files have the same bytes.'
        : `${many(identical.length, 'group')} of ${many(files, 'file')} with the same bytes, whatever the model:`,
    )
    for (const group of identical.slice(0, LISTED)) print(`  ${group.files.slice(0, LISTED).join('  ')}`)
    if (identical.length > LISTED) print(`  … and ${grouped(identical.length - LISTED)} more groups`)
  }
  if (isListed) print('--json and --csv list the groups all the same.')
}

async function printReport(
  { groups, pairs, threshold, nearest, others, linkedFolders, crowding }: DuplicateReport,
  dir: string,
): Promise<void> {
  if (crowding) printCrowding(crowding, { threshold, dir, isListed: groups.length > 0 })
  else await printGroups({ groups, pairs, threshold, linkedFolders })
  printDistribution({ nearest, others })
}

async function printGroups({
  groups,
  pairs,
  threshold,
  linkedFolders,
}: Pick<DuplicateReport, 'groups' | 'pairs' | 'threshold' | 'linkedFolders'>): Promise<void> {
  const { shownOf } = await import('../../search/index-duplicates.ts')
  const images = groups.reduce((sum, each) => sum + each.images.length, 0)
  print(
    groups.length === 0
      ? `no images with a similarity of at least ${threshold}`
      : `${many(groups.length, 'group')} of ${many(images, 'image')} (${many(pairs, 'pair')}) with a similarity of at least ${threshold}`,
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
}

function printDistribution({ nearest, others }: Pick<DuplicateReport, 'nearest' | 'others'>): void {
  if (nearest.length === 0) return
  print('')
  print('Whether the threshold is right depends on the model. Similarity of images to their nearest other:')
  const share = (value: number) => (value === 0 ? 'least' : value === 1 ? 'most' : `${100 * value} %`)
  print(
    table(
      nearest.map((each) => [`  ${share(each.share)}`, each.similarity.toFixed(4)]),
      [0],
    ),
  )
  print('Images that have one at least so similar:')
  print(
    table(
      others.map((each) => [`  ≥ ${each.threshold}`, grouped(each.images)]),
      [1],
    ),
  )
}
