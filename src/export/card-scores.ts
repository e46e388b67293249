/** Measured numbers for a model card, from reports of `sherd evaluate` on these weights. */
import { existsSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { SherdError } from '../errors.ts'
import { plain } from '../evaluate/markdown.ts'
import { type ReadReport, readReport, reportsAt, type Spread } from '../evaluate/read-report.ts'
import { RECORD } from '../files/claim.ts'
import { sealOf } from '../files/durable.ts'
import { readRecord } from '../files/made.ts'
import { type FoundWeights, sealOfModel } from '../weights/found-weights.ts'

const names: Readonly<Record<string, string>> = {
  ...{ top1: 'top-1', meanRecall: 'mean recall', macroF1: 'macro F1' },
  ...{ meanIou: 'mean IoU', pixelAccuracy: 'pixel accuracy', meanAccuracy: 'mean accuracy' },
}

const percent = ({ mean, deviation }: Spread, seeds: number) =>
  `${(100 * mean).toFixed(1)} %${seeds > 1 ? ` ± ${(100 * deviation).toFixed(1)}` : ''}`

function rowsOf({ protocol, data, seeds, results }: ReadReport): string[] {
  return results.map(({ group, setting, values }) => {
    const measured = Object.entries(values).flatMap(([name, value]) =>
      value ? [`${names[name] ?? name} ${percent(value, seeds.length)}`] : [],
    )
    const how = [protocol, group, setting].filter(Boolean).map(plain).join(', ')
    return `| ${how} | ${plain(basename(data.test))}: ${data.trainImages} images learned from, ${data.testImages} tested | ${measured.join(', ')} |`
  })
}

/** The folder's record, also of one folder of several reports. */
const recordAround = (path: string) =>
  [dirname(path), dirname(dirname(path))]
    .filter((dir) => existsSync(join(dir, RECORD)))
    .map((dir) => readRecord(join(dir, RECORD)))[0]

/** What the reports say decides the card. Throws `SOURCE`. */
export const sealsOfReports = (reports: readonly string[]): string[] =>
  reports.flatMap(reportsAt).map((path) => sealOf(path).sha256)

/** Lines of Markdown. Throws `SOURCE` for what is no report, `USAGE` for one of other weights. */
export function cardScores(
  reports: readonly string[],
  { model, found }: { readonly model: string; readonly found: Pick<FoundWeights, 'files' | 'preparation'> },
): string[] {
  const paths = reports.flatMap(reportsAt)
  if (paths.length === 0) return []
  const seal = sealOfModel(found)
  for (const path of paths) {
    const record = recordAround(path)
    const isOfThese = record?.inputs.model === seal || record?.options.save === resolve(model)
    if (!isOfThese)
      throw new SherdError(
        'USAGE',
        `${path} is not of the weights of ${model} and its way of preparing images: give reports of "sherd evaluate --model ${model}", or of the command that saved them, with their made.json.`,
      )
  }
  return [
    ...['| measured by sherd | on | result |', '| --- | --- | --- |'],
    ...paths.map(readReport).flatMap(rowsOf),
  ]
}
