/** Metric rows of training, and of an objective. */
import type { MetricRow, Objective } from '../objective/objective.ts'

/** Of every training. */
const own: readonly MetricRow[] = [
  { name: 'gradientNorm', kind: 'health', unit: '' },
  { name: 'imagesPerSecond', kind: 'throughput', unit: 'images/s' },
  { name: 'stepSeconds', kind: 'throughput', unit: 's' },
  { name: 'dataWaitSeconds', kind: 'throughput', unit: 's' },
  { name: 'residentBytes', kind: 'health', unit: 'bytes' },
]

/** All rows, named by their path in a line of `metrics.jsonl`. A single part of weight 1 is the loss itself. */
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

/** A row's value in an event or a line, if present. Names may contain dots after the first. */
export function valueIn(line: object, name: string): number | undefined {
  const fields = line as Readonly<Record<string, unknown>>
  const [, group, rest] = name.match(/^(\w+)\.(.+)$/) ?? []
  const value = group
    ? (fields[group] as Readonly<Record<string, unknown>> | undefined)?.[rest!]
    : fields[name]
  return typeof value === 'number' ? value : undefined
}
