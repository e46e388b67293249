/** Prints the report of an evaluation. */
import { resolve } from 'node:path'
import type { FeatureReport, Report } from '../../evaluate/evaluate.ts'
import { note, print, printJson, table, warn } from '../output.ts'
import { endProgress } from '../progress.ts'
import type { EvaluateFlags, SaveFlags } from './evaluate-options.ts'

export async function printReport(
  report: Report | FeatureReport,
  { out, json, save }: Pick<EvaluateFlags, 'out' | 'json'> & SaveFlags,
): Promise<void> {
  const { asTaken } = await import('../../weights/how-taken.ts')
  const { withDeviation } = await import('../../evaluate/markdown.ts')
  endProgress()
  if (json) return printJson({ kind: 'evaluation', ...report })
  const attempts = report.seeds.length
  print(
    table(
      [
        ['', 'images', 'features', 'setting', 'top-1, %', 'held out, %'],
        ...report.rows.map((row, i) => [
          report.chosen.includes(i) ? '*' : '',
          row.group || 'all',
          row.pooling,
          row.setting,
          withDeviation(row.top1, attempts),
          row.heldOut === null ? '' : (100 * row.heldOut).toFixed(2),
        ]),
      ],
      [4, 5],
    ),
  )
  for (const { group, pooling, setting, top1 } of report.chosen.map((place) => report.rows[place]!))
    print(
      `${report.protocol}${group && ` ${group}`}: top-1 ${withDeviation(top1, attempts)} % of ${report.data.testImages} test images ` +
        `(${pooling}${report.reads ? asTaken(report.reads, pooling) : ''}, ${setting}; chance ${(100 * report.chance).toFixed(2)} %; computed in ${report.model.precision})`,
    )
  const random = 'random' in report ? report.random : null
  for (const { group, pooling, setting, top1 } of random?.chosen.map((at) => random.rows[at]!) ?? [])
    print(
      `the same network with random weights${group && `, ${group}`}: top-1 ${withDeviation(top1, attempts)} % (${pooling}, ${setting})`,
    )
  const { classes } = report.scores
  const weakest = classes.filter(({ images }) => images > 0).sort((a, b) => a.recall - b.recall)
  if (weakest.length > 2)
    print(
      `lowest recall of ${classes.length} classes: ${weakest
        .slice(0, 3)
        .map(({ name, recall }) => `${name} ${(100 * recall).toFixed(0)} %`)
        .join(', ')} (recall, precision and F1 of each are in the report)`,
    )
  for (const warning of report.warnings) warn(`${warning}.`)
  if (report.data.skipped > 0) note(`${report.data.skipped} files could not be used and were left out.`)
  print(`report: ${resolve(out, 'report.md')}`)
  if (save !== undefined) print(`classifier of seed ${report.seeds[0]}: ${resolve(save)}`)
}
