/** Several reports as one table: a row for each result, and its difference to the first one. */
import { dirname } from 'node:path'
import { SherdError } from '../errors.ts'
import { percent, plain, tableOf, withDeviation } from './markdown.ts'
import { type ReadReport, type Result, readReport, reportsAt, type Spread } from './read-report.ts'

/** The columns of a kind of report; the first one is compared. */
const metrics = {
  classification: { top1: 'top-1, %', meanRecall: 'balanced, %', macroF1: 'F1, %' },
  segmentation: { meanIou: 'mIoU, %', pixelAccuracy: 'pixels, %', meanAccuracy: 'mean accuracy, %' },
} as const satisfies Record<ReadReport['kind'], Readonly<Record<string, string>>>

/** Protocols that draw nothing: one attempt is all there is. */
const certain: readonly string[] = ['knn']

export interface ComparedRow extends Result {
  /** The folder of the report. */
  readonly report: string
  readonly model: string
  readonly protocol: string
  readonly attempts: number
  /** To the first row, in shares; null for the first and for what cannot be compared with it. */
  readonly difference: number | null
  /** Whether the difference is larger than both deviations together; null where one of the two had a single seed. */
  readonly exceedsSpread: boolean | null
  /** What differs from the first report besides the model: `other test images` forbids a difference. */
  readonly remarks: readonly string[]
}

export interface Comparison {
  readonly kind: 'comparison'
  readonly of: ReadReport['kind']
  /** The value that is compared. */
  readonly metric: string
  readonly rows: readonly ComparedRow[]
  /** Test images of the first report, and one standard error of its value for having drawn these; null where it is no share of images. */
  readonly testImages: number
  readonly samplingError: number | null
}

/** What forbids a difference to `first`, and what only limits it. */
function differing(first: ReadReport, other: ReadReport): { forbids: string[]; limits: string[] } {
  const [a, b] = [first.data, other.data]
  const forbids: string[] = []
  const limits: string[] = []
  if (first.classes.join('\n') !== other.classes.join('\n')) forbids.push('other classes')
  if (a.fingerprints && b.fingerprints) {
    if (a.fingerprints.test !== b.fingerprints.test) forbids.push('other test images')
    if (a.fingerprints.train !== b.fingerprints.train) limits.push('other training images')
  } else {
    if (a.testImages !== b.testImages) forbids.push('other test images')
    else limits.push('test images known by their number only')
    if (a.trainImages !== b.trainImages) limits.push('other training images')
  }
  if (first.protocol !== other.protocol) limits.push('other protocol')
  return { forbids, limits }
}

/** The result of the first report that a result is compared with: that of the same group or head, else the first. */
const counterpart = ({ results }: ReadReport, { group, setting }: Result, kind: ReadReport['kind']): Result =>
  results.find((each) => (kind === 'segmentation' ? each.setting === setting : each.group === group)) ??
  results[0]!

const spreadOf = ({ deviation }: Spread, { protocol, seeds }: ReadReport): number | null =>
  certain.includes(protocol) || seeds.length > 1 ? deviation : null

/** Throws `SOURCE` for files that are no reports, `USAGE` for fewer than two or for ones of which none compares with the first. */
export function compareReports(paths: readonly string[]): Comparison {
  const reports = [...new Set(paths.flatMap(reportsAt))].map(readReport)
  const [first] = reports
  if (!first || reports.length < 2)
    throw new SherdError('USAGE', `Expected two reports or more to compare, got ${reports.length}.`)
  const stranger = reports.find(({ kind }) => kind !== first.kind)
  if (stranger)
    throw new SherdError(
      'USAGE',
      `${stranger.path} is of ${stranger.kind}, ${first.path} of ${first.kind}: they have no number in common. Compare reports of one of them.`,
    )
  const [metric] = Object.keys(metrics[first.kind]) as [string]
  const rows = reports.flatMap((report) => {
    const { forbids, limits } = differing(first, report)
    return report.results.map((result): ComparedRow => {
      const against = counterpart(first, result, first.kind)
      const [own, base] = [result.values[metric]!, against.values[metric]!]
      const isSame = report === first && against === result
      const difference = isSame || forbids.length > 0 ? null : own.mean - base.mean
      const spreads = [spreadOf(own, report), spreadOf(base, first)]
      const isKnown = difference !== null && spreads[0] !== null && spreads[1] !== null
      const isOtherGroup = against.group && against.group !== result.group ? [`against ${against.group}`] : []
      return {
        ...result,
        ...{ report: dirname(report.path), model: report.model.path, protocol: report.protocol },
        ...{ attempts: report.seeds.length, difference },
        exceedsSpread: isKnown ? Math.abs(difference) > spreads[0]! + spreads[1]! : null,
        remarks: report === first ? [] : [...forbids, ...limits, ...isOtherGroup],
      }
    })
  })
  if (reports.slice(1).every((report) => differing(first, report).forbids.length > 0))
    throw new SherdError(
      'USAGE',
      `Nothing can be compared with ${first.path}: ${[...new Set(reports.slice(1).flatMap((each) => differing(first, each).forbids))].join(', ')}. ` +
        'Evaluate the models on the same images (the same --data, or --train and --test).',
    )
  const { testImages } = first.data
  const { mean } = first.results[0]!.values[metric]!
  return {
    ...{ kind: 'comparison', of: first.kind, metric, rows, testImages },
    samplingError: metric === 'top1' ? Math.sqrt((mean * (1 - mean)) / testImages) : null,
  }
}

/** 0.0123 → `+1.23` */
const signed = (share: number) => `${share < 0 ? '−' : '+'}${percent(Math.abs(share))}`

const verdict = ({ difference, exceedsSpread }: ComparedRow) =>
  difference === null ? '' : exceedsSpread === null ? 'one seed' : exceedsSpread ? 'yes' : 'no'

type Column = readonly [title: string, cell: (row: ComparedRow) => string]

/** Titles and cells, for a terminal and for Markdown; columns that are empty everywhere are left out, and the secondary ones if `short`. */
export function comparisonColumns(
  { of, rows }: Comparison,
  { short = false }: { short?: boolean } = {},
): readonly Column[] {
  const [main, ...others] = Object.entries(metrics[of])
  const value = (name: string) => (row: ComparedRow) => {
    const there = row.values[name]
    return there ? withDeviation(there, row.attempts) : ''
  }
  const models = new Set(rows.map(({ model }) => model))
  const all: Column[] = [
    ['report', ({ report }) => report],
    ...(models.size > 1 && !short ? [['model', ({ model }: ComparedRow) => model] as const] : []),
    ['protocol', ({ protocol, group }) => `${protocol} ${group}`.trim()],
    ...(short ? [] : [['setting', ({ setting }: ComparedRow) => setting] as const]),
    [main![1], value(main![0])],
    ['difference', ({ difference }) => (difference === null ? '' : signed(difference))],
    ['beyond ±', verdict],
    ...(short ? [] : others.map(([name, title]) => [title, value(name)] as const)),
    ['remarks', ({ remarks }) => remarks.join(', ')],
  ]
  return all.filter(([, cell]) => rows.some((row) => cell(row) !== ''))
}

/** A row as lines, where there is no room for a table. */
export function comparisonLines({ of, metric }: Comparison, row: ComparedRow): string[] {
  const title = Object.values<string>(metrics[of])[0]!
  const parts = [
    `${title.replace(', %', '')} ${withDeviation(row.values[metric]!, row.attempts)} %`,
    ...(row.difference === null ? [] : [`${signed(row.difference)} points`]),
    ...(row.exceedsSpread === null ? [] : [row.exceedsSpread ? 'beyond ±' : 'within ±']),
  ]
  return [
    row.report,
    ...[`${row.protocol} ${row.group}`.trim(), parts.join(', '), ...row.remarks].map((line) => `  ${line}`),
  ]
}

/** What the columns mean. */
export function comparisonNotes({ samplingError, testImages, rows }: Comparison): string[] {
  return [
    'Differences are in points, to the first report. "beyond ±": whether they exceed the deviations over seeds of both together.',
    ...(samplingError === null
      ? []
      : [
          `${testImages} test images say a top-1 of ${percent(rows[0]!.values.top1!.mean)} % to ± ${percent(samplingError)} points (one standard error), whatever the seeds say.`,
        ]),
    ...(rows.some(({ remarks }) =>
      remarks.some((remark) => remark === 'other test images' || remark === 'other classes'),
    )
      ? ['Results on other test images or classes have no difference.']
      : []),
  ]
}

export const comparisonMarkdown = (comparison: Comparison): string => `# ${comparison.rows.length} results

${tableOf(
  comparison.rows,
  comparisonColumns(comparison).map(
    ([title, cell]) => [title, (row: ComparedRow) => plain(cell(row))] as const,
  ),
)}

${comparisonNotes(comparison).join('\n\n')}
`
