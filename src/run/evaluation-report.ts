/** An evaluation as files: `report.json`, `report.md` and `confusion.png`. */
import { join } from 'node:path'
import { type Shots, shotsName } from '../evaluate/labelled.ts'
import type { MeanAndDeviation } from '../evaluate/scores.ts'
import { drawConfusion } from '../picture/confusion.ts'
import type { Report, Row } from './evaluate.ts'
import { makeFolder, writeWhole } from './folder.ts'

const percent = (share: number) => (100 * share).toFixed(2)
/** `71.20 ± 0.31`, in percent; without the deviation for a single value. */
export const withDeviation = ({ mean, deviation }: MeanAndDeviation, of: number) =>
  of > 1 ? `${percent(mean)} ± ${percent(deviation)}` : percent(mean)

const shown = (value: unknown) =>
  Array.isArray(value) && typeof value[0] === 'object'
    ? (value as Shots[]).map(shotsName).join(', ')
    : String([value].flat().join(', '))

const markdownTable = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')

// A name may hold what Markdown would take for its own.
const plain = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('|', '\\|').replaceAll('\n', ' ')

/** The report for people. */
export function reportMarkdown(report: Report): string {
  const { model, data, classes, rows, chosen, scores, seeds, spread, chance } = report
  const results = chosen.map((place) => rows[place]!)
  const best = results.at(-1)!
  const hasGroups = rows.some(({ group }) => group !== '')
  const named = ({ group, pooling, setting }: Row) =>
    [group, `${pooling} features`, setting].filter(Boolean).join(', ')
  const hasTop5 = best.top5 !== null
  const settings = Object.entries(report.settings).map(([key, value]) => `${key} ${shown(value)}`)
  return `# ${report.protocol}: top-1 ${withDeviation(best.top1, seeds.length)} %

${report.title}:

${results.map((row) => `- **${withDeviation(row.top1, seeds.length)} %** top-1: ${named(row)}`).join('\n')}

Chosen on a tenth of the training images, held out; the test images chose nothing. Always naming the commonest class would
reach ${percent(chance)} %.

- model: ${plain(model.path)}${model.step === null ? '' : `, step ${model.step}`}
- training images: ${data.trainImages}, ${plain(data.train)}
- test images: ${data.testImages}, ${plain(data.test)}
- files that could not be read: ${data.skipped}
- classes: ${classes.length}
- seeds: ${seeds.join(', ')}
- settings: ${settings.join('; ')}
- time: ${report.seconds.toFixed(0)} s

## Every way

${markdownTable(
  [
    ...(hasGroups ? ['images'] : []),
    'features',
    'setting',
    'top-1, %',
    ...(hasTop5 ? ['top-5, %'] : []),
    'held out, %',
  ],
  rows.map((row) => [
    ...(hasGroups ? [row.group] : []),
    row.pooling,
    row.setting,
    withDeviation(row.top1, seeds.length),
    ...(row.top5 ? [withDeviation(row.top5, seeds.length)] : []),
    row.heldOut === null ? '' : percent(row.heldOut),
  ]),
)}

## By class (${named(best)}; first seed)

${markdownTable(
  ['class', 'images', 'found, %', 'right when named, %'],
  scores.classes.map(({ name, images, recall, precision }) => [
    plain(name),
    String(images),
    percent(recall),
    precision === null ? 'never named' : percent(precision),
  ]),
)}

Mean over classes: ${percent(scores.meanRecall)} %. The confusion matrix is in confusion.png.

## The features of the training images

${markdownTable(
  ['features', 'effective rank', 'deviation (0 collapsed, 1 spread evenly)'],
  Object.entries(spread).map(([pooling, { effectiveRank, deviation }]) => [
    pooling,
    effectiveRank.toFixed(1),
    deviation.toFixed(3),
  ]),
)}
`
}

/** Makes the folder of a report, so that it is known to be there before minutes are spent. Throws `RUN`. */
export const openReport = (dir: string): void => makeFolder(dir)

/** Writes the files, and makes the folder. Throws `RUN` when it cannot. */
export async function writeReport(dir: string, report: Report): Promise<void> {
  openReport(dir)
  writeWhole(join(dir, 'report.json'), `${JSON.stringify(report, null, 2)}\n`)
  writeWhole(join(dir, 'report.md'), reportMarkdown(report))
  const { png } = await drawConfusion({
    names: report.classes,
    confusion: report.scores.confusion,
    title: `${report.protocol}: ${percent(report.scores.top1)} % of ${report.scores.images} images`,
  })
  writeWhole(join(dir, 'confusion.png'), png)
}
