/** An evaluation as files: `report.json`, `report.md` and `confusion.png`. */
import { join } from 'node:path'
import { makeFolder, writeWhole } from '../files/write-whole.ts'
import { drawConfusion } from '../picture/confusion.ts'
import type { FeatureReport, Report, Row } from './evaluate.ts'
import { type Shots, shotsName } from './labelled-features.ts'
import { percent, plain, readsLine, tableOf, withDeviation } from './markdown.ts'

const shown = (value: unknown): string =>
  Array.isArray(value)
    ? value.map(shown).join(', ')
    : value !== null && typeof value === 'object'
      ? shotsName(value as Shots)
      : String(value)

const spreadSection = (spread: FeatureReport['spread']) => `
## The features of the training images

${tableOf(Object.entries(spread), [
  ['features', ([pooling]) => pooling],
  ['effective rank', ([, { effectiveRank }]) => effectiveRank.toFixed(1)],
  ['deviation (0 collapsed, 1 spread evenly)', ([, { deviation }]) => deviation.toFixed(3)],
])}
`

/** What chose the result. */
function choice({ rows, validation }: Report): string {
  if (validation?.isTest) return '**The test images themselves chose the epoch.**'
  if (validation) return 'The validation images chose the epoch; the test images chose nothing.'
  const wasTried = rows.some(({ heldOut }) => heldOut !== null)
  return wasTried
    ? 'Chosen on a tenth of the training images, held out; the test images chose nothing.'
    : 'The test images chose nothing.'
}

/** What the same network reaches with random weights. */
function beside(report: Report | FeatureReport, named: (row: Row) => string): string {
  const random = 'random' in report ? report.random : null
  if (!random) return ''
  const lines = random.chosen
    .map((place) => random.rows[place]!)
    .map((row) => `- ${withDeviation(row.top1, report.seeds.length)} % with random weights: ${named(row)}`)
  return `${lines.join('\n')}\n`
}

export function reportMarkdown(report: Report | FeatureReport): string {
  const { model, data, reads, classes, rows, chosen, scores, seeds, chance } = report
  const results = chosen.map((place) => rows[place]!)
  const best = results.at(-1)!
  const named = ({ group, pooling, setting }: Row) =>
    [group, `${pooling} features`, setting].filter(Boolean).join(', ')
  const settings = Object.entries(report.settings).map(([key, value]) => `${key} ${shown(value)}`)
  return `# ${report.protocol}: top-1 ${withDeviation(best.top1, seeds.length)} %

${report.title}:

${results.map((row) => `- **${withDeviation(row.top1, seeds.length)} %** top-1: ${named(row)}`).join('\n')}
${beside(report, named)}
${choice(report)} Always naming the commonest class
would reach ${percent(chance)} %.
${report.warnings.map((warning) => `\n**Note**: ${plain(warning)}.\n`).join('')}
- model: ${plain(model.path)}${model.step === null ? '' : `, step ${model.step}`}; computed in ${model.precision}
${reads ? `- ${readsLine(reads)}\n` : ''}- training images: ${data.trainImages}, ${plain(data.train)}
- test images: ${data.testImages}, ${plain(data.test)}
${report.validation ? `- validation images: ${report.validation.images}, ${plain(report.validation.of)}; best epoch by seed: ${report.validation.attempts.map(({ epoch }) => epoch).join(', ')}\n` : ''}- files that could not be read: ${data.skipped}
- classes: ${classes.length}
- seeds: ${seeds.join(', ')}
- settings: ${settings.join('; ')}
- time: ${report.seconds.toFixed(0)} s

## Every way

${tableOf(rows, [
  ['images', ({ group }) => group],
  ['features', ({ pooling }) => pooling],
  ['setting', ({ setting }) => setting],
  ['top-1, %', ({ top1 }) => withDeviation(top1, seeds.length)],
  ['top-5, %', ({ top5 }) => top5 && withDeviation(top5, seeds.length)],
  ['balanced, %', ({ meanRecall }) => withDeviation(meanRecall, seeds.length)],
  ['F1, %', ({ macroF1 }) => withDeviation(macroF1, seeds.length)],
  ['held out, %', ({ heldOut }) => (heldOut === null ? null : percent(heldOut))],
])}

## By class (${named(best)}; seed ${seeds[0]})

${tableOf(scores.classes, [
  ['class', ({ name }) => plain(name)],
  ['images', ({ images }) => String(images)],
  ['recall, %', ({ images, recall }) => (images ? percent(recall) : 'no image')],
  ['precision, %', ({ precision }) => (precision === null ? 'never named' : percent(precision))],
  ['F1, %', ({ f1 }) => (f1 === null ? '–' : percent(f1))],
])}

Recall: how many of the class were found. Precision: how many of those that were given its name are of it. F1: their harmonic
mean. Over the classes: recall ${percent(scores.meanRecall)} % (balanced accuracy), F1 ${percent(scores.macroF1)} %.

![Confusion matrix of seed ${seeds[0]}](confusion.png)
${'spread' in report ? spreadSection(report.spread) : ''}`
}

/** Makes the report's folder before any computing, so that a bad path fails early. Throws `RUN`. */
export const openReport = (dir: string): void => makeFolder(dir)

/** Throws `RUN`. */
export async function writeReport(dir: string, report: Report): Promise<void> {
  const markdown = reportMarkdown(report)
  const { png } = await drawConfusion({
    names: report.classes,
    confusion: report.scores.confusion,
    title: `${report.protocol}: ${percent(report.scores.top1)} % of ${report.scores.images} images, seed ${report.seeds[0]}`,
  })
  openReport(dir) // after drawing, so that a failure leaves nothing behind
  writeWhole(join(dir, 'confusion.png'), png)
  writeWhole(join(dir, 'report.md'), markdown)
  writeWhole(join(dir, 'report.json'), `${JSON.stringify(report, null, 2)}\n`)
}
