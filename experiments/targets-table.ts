/** The table of targets and masks, of the results of its cells: which differences are larger than those between seeds. */

import { percent, tableOf, withDeviation } from '../src/evaluate/markdown.ts'
import { meanAndDeviation } from '../src/evaluate/scores.ts'
import type { KeptReport, Progress } from './facts.ts'
import { reference, rows, WANTED } from './targets-rows.ts'

export const measures = ['knn', 'linear'] as const
export type Measure = (typeof measures)[number]

/** A teacher or a tokenizer. */
interface Other extends Progress {
  readonly name: string
  readonly config: string
  readonly weights: string
  /** Metrics of its last step. */
  readonly last: Readonly<Record<string, unknown>>
}

/** A cell, with all that is needed to check it. */
export interface Result {
  readonly format: 'sherd-targets/1'
  readonly row: string
  readonly seed: number
  readonly preset: string
  /** Keys that all rows change of the preset, and those of this row, without paths of other models. */
  readonly common: readonly string[]
  readonly set: readonly string[]
  readonly images: number
  readonly steps: number
  /** SHA-256 of the run's config.json without paths, and of the numbers of its last weights; null of the floor. */
  readonly config: string | null
  readonly weights: string | null
  /** The other model that it needs. */
  readonly needs: Other | null
  readonly loss: Progress['loss'] | null
  readonly imagesPerSecond: Progress['imagesPerSecond']
  readonly precision: string
  readonly threads: number
  readonly top1: Readonly<Record<Measure, number>>
  /** What top-1 is from. */
  readonly reports: Readonly<Record<Measure, KeptReport>>
  readonly commit: string
  readonly machine: string
  readonly date: string
}

export interface Spread {
  /** Of one training, over seeds. */
  readonly deviation: number
  /** Degrees of freedom: seeds less rows. */
  readonly freedom: number
}

/** The deviation over seeds, pooled over the rows that have several: the root of the mean of their variances, by degrees of freedom. */
export function pooledDeviation(samples: readonly (readonly number[])[]): Spread | null {
  const several = samples.filter(({ length }) => length > 1)
  const freedom = several.reduce((total, { length }) => total + length - 1, 0)
  if (freedom === 0) return null
  const squares = several.reduce(
    (total, values) => total + (values.length - 1) * meanAndDeviation(values).deviation ** 2,
    0,
  )
  return { deviation: Math.sqrt(squares / freedom), freedom }
}

/**
 * Below it a difference of two means is not resolved: twice the deviation of the difference, and never less than twice that of one training,
 * however many seeds there are.
 */
export const barOf = (deviation: number, seeds: number, others: number): number =>
  2 * deviation * Math.max(1, Math.sqrt(1 / seeds + 1 / others))

export interface Line {
  readonly row: string
  readonly seeds: number
  readonly measured: Readonly<
    Record<
      Measure,
      {
        readonly mean: number
        readonly deviation: number
        /** Mean less that of the reference; null: not resolved, or there is nothing to compare with. */
        readonly difference: number | null
        readonly bar: number | null
      }
    >
  >
}

/** Without the reports, which each cell's own file has. */
export interface CellFacts extends Omit<Result, 'reports'> {
  readonly reports: Readonly<Record<Measure, string>>
}

export interface Table {
  readonly lines: readonly Line[]
  readonly spread: Readonly<Record<Measure, Spread | null>>
  readonly cells: readonly CellFacts[]
}

/** Rows in their order, as far as they have results. */
export function tableFrom(results: readonly Result[]): Table {
  const of = (row: string, measure: Measure) =>
    results.filter((each) => each.row === row).map(({ top1 }) => top1[measure])
  const names = rows.map(({ name }) => name).filter((name) => of(name, 'knn').length > 0)
  const spread = Object.fromEntries(
    measures.map((measure) => [measure, pooledDeviation(names.map((name) => of(name, measure)))]),
  ) as Table['spread']
  const measuredOf = (name: string, measure: Measure) => {
    const [values, others, spreadOf] = [of(name, measure), of(reference, measure), spread[measure]]
    const own = meanAndDeviation(values)
    const bar =
      name !== reference && others.length > 0 && spreadOf
        ? barOf(spreadOf.deviation, values.length, others.length)
        : null
    const difference = own.mean - meanAndDeviation(others).mean
    return { ...own, bar, difference: bar !== null && Math.abs(difference) >= bar ? difference : null }
  }
  const lines = names.map((name) => ({
    row: name,
    seeds: of(name, 'knn').length,
    measured: Object.fromEntries(
      measures.map((measure) => [measure, measuredOf(name, measure)]),
    ) as Line['measured'],
  }))
  const cells = results.map(({ reports, ...facts }) => ({
    ...facts,
    reports: { knn: reports.knn.sha256, linear: reports.linear.sha256 },
  }))
  return { lines, spread, cells }
}

/** A line for each result: whether it is what another table has, and if not, whether that is more than other seeds would differ by. */
export const comparison = (results: readonly Result[], { cells, spread }: Table): string[] =>
  results.map((own) => {
    const what = `${own.row}, seed ${own.seed}`
    const other = cells.find(({ row, seed }) => row === own.row && seed === own.seed)
    if (!other) return `${what}: not in the other table`
    const isSame = own.weights === other.weights
    if (isSame && own.weights) return `${what}: the same weights, number by number`
    const differing = (['images', 'common', 'threads', 'precision', 'machine', 'commit'] as const).filter(
      (fact) => String(own[fact]) !== String(other[fact]),
    )
    const scores = measures.map((measure) => {
      const [here, there, pooled] = [own.top1[measure], other.top1[measure], spread[measure]]
      const resolved = pooled && Math.abs(here - there) >= barOf(pooled.deviation, 1, 1)
      return `${measure} ${percent(here)} here, ${percent(there)} there${pooled && here !== there ? `: ${resolved ? 'more' : 'no more'} than seeds make` : ''}`
    })
    const why = differing.length > 0 ? ` (other ${differing.join(', ')})` : ''
    return `${what}: ${own.weights ? `other weights${why}; ` : ''}${scores.join('; ')}`
  })

const signed = (share: number) => `${share < 0 ? '−' : '+'}${percent(Math.abs(share))}`

function against(line: Line, measure: Measure): string {
  const { bar, difference } = line.measured[measure]
  if (line.row === reference) return ''
  if (bar === null) return 'deviation not known yet'
  return difference === null ? `not resolved (below ${percent(bar)})` : signed(difference)
}

const sameOf = (texts: readonly string[]) => [...new Set(texts)].join(', ')
const short = (hash: string | null) => (hash === null ? '' : hash.slice(0, 12))

export function tableMarkdown(results: readonly Result[], preset: string): string {
  const { lines, spread } = tableFrom(results)
  const trained = results.filter(({ steps }) => steps > 0)
  const few = trained.some(({ images }) => images < WANTED)
    ? ` (fewer than ${WANTED.toLocaleString('en-GB')}, to fit the time that was given)`
    : ''
  const ofRow = (name: string) => results.filter(({ row }) => row === name)
  const deviations = measures
    .flatMap((measure) => {
      const pooled = spread[measure]
      return pooled ? [`${measure} ${percent(pooled.deviation)} (${pooled.freedom} degrees of freedom)`] : []
    })
    .join(', ')
  return [
    `# Targets and masks: ${preset}`,
    '',
    `${sameOf(results.map(({ machine }) => machine))}; ${sameOf(results.map(({ precision }) => precision))}, ` +
      `${sameOf(results.map(({ threads }) => String(threads)))} threads. Images seen by each training: ` +
      `${sameOf(trained.map(({ images }) => images.toLocaleString('en-GB'))) || 'none'}${few}. Top-1 in %, mean and deviation over seeds of pretraining. Keys of all: ${sameOf(trained.map(({ common }) => common.join(' ')))}.`,
    '',
    deviations
      ? `Deviation over seeds, pooled over the rows with several, and taken for those with one, too: ${deviations}. ` +
        `A difference to “${reference}” below twice it (and below twice that of the difference of the two means) is not resolved.`
      : 'No row has several seeds yet, so that no difference can be resolved.',
    '',
    tableOf(lines, [
      ['row', ({ row }) => row],
      ['seeds', ({ seeds }) => String(seeds)],
      ['nearest neighbours', (line) => withDeviation(line.measured.knn, line.seeds)],
      ['difference', (line) => against(line, 'knn')],
      ['linear probe', (line) => withDeviation(line.measured.linear, line.seeds)],
      ['difference ', (line) => against(line, 'linear')],
    ]),
    '',
    'What each cell is from (SHA-256, first 12 digits):',
    '',
    tableOf(
      rows.flatMap(({ name }) => ofRow(name)),
      [
        ['row', ({ row }) => row],
        ['seed', ({ seed }) => String(seed)],
        ['keys', ({ set }) => set.join(' ')],
        ['needs (weights)', ({ needs }) => needs && `${needs.name} (${short(needs.weights)})`],
        ['loss, first → last', ({ loss }) => loss && `${loss[0].toFixed(3)} → ${loss[1].toFixed(3)}`],
        ['configuration', ({ config }) => short(config)],
        ['weights', ({ weights }) => short(weights)],
        ['report knn', ({ reports }) => short(reports.knn.sha256)],
        ['report linear', ({ reports }) => short(reports.linear.sha256)],
        ['commit', ({ commit }) => commit],
        ['date', ({ date }) => date.slice(0, 10)],
      ],
    ),
    '',
  ].join('\n')
}
