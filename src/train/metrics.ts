/** The numbers of a step as typed rows: those of every training, and those that an objective declares. */
import type { MetricRow, Objective } from '../objective/objective.ts'

/** Of every training. */
const own: readonly MetricRow[] = [
  { name: 'gradientNorm', kind: 'health', unit: '' },
  { name: 'imagesPerSecond', kind: 'throughput', unit: 'images/s' },
  { name: 'stepSeconds', kind: 'throughput', unit: 's' },
  { name: 'dataWaitSeconds', kind: 'throughput', unit: 's' },
  { name: 'residentBytes', kind: 'health', unit: 'bytes' },
]

/** All rows of a training, named by where they are in a line of `metrics.jsonl`. The only part of a loss is the loss, of weight 1. */
export function metricRows({
  metrics = [],
  schedules = {},
}: Pick<Objective, 'metrics' | 'schedules'>): MetricRow[] {
  const parts = metrics.filter(({ kind }) => kind === 'loss')
  const under = (group: string, rows: readonly MetricRow[]) =>
    rows.map((row) => ({ ...row, name: `${group}.${row.name}` }))
  return [
    { ...(parts.length === 1 && parts[0]), name: 'loss', kind: 'loss', unit: '' },
    ...(parts.length > 1 ? under('parts', parts) : []),
    ...under(
      'metrics',
      metrics.filter(({ kind }) => kind !== 'loss'),
    ),
    ...['learningRate', 'weightDecay', ...Object.keys(schedules)].map((name) => ({
      ...{ name: `schedules.${name}`, kind: 'schedule' as const, unit: '' },
    })),
    ...own,
  ]
}

/** The number of a row in a step or a line, if it is there. Names may have dots behind the first. */
export function valueIn(line: object, name: string): number | undefined {
  const fields = line as Readonly<Record<string, unknown>>
  const [, group, rest] = name.match(/^(\w+)\.(.+)$/) ?? []
  const value = group
    ? (fields[group] as Readonly<Record<string, unknown>> | undefined)?.[rest!]
    : fields[name]
  return typeof value === 'number' ? value : undefined
}
