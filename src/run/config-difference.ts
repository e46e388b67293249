/** The differences between two configurations, for people: `optim.weightDecay: 0.05 → 0.1`. */
import { configKeys } from '../config/keys.ts'
import type { Config } from '../config/schema.ts'

const valueAt = (config: Config, path: string): string =>
  JSON.stringify(
    path
      .split('.')
      .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], config),
  ) ?? 'unset'

/** Keys that may change on resuming: length, machine, intervals; not the objective or the data. */
const free = new Set([
  'train.steps',
  'train.epochs',
  'train.device',
  'train.precision',
  'train.kernels',
  'train.recompute',
  'train.record',
  'train.threads',
  'train.maxSkippedSteps',
  'train.maxRollbacks',
  'data.workers',
  'data.prefetchBatches',
  'data.cache',
  'data.maxSkippedShare',
  'data.fileTimeout',
  'target.model', // it may have been moved: its weights are compared by their hash
  'target.tokenizer', // likewise
  'mask.model', // likewise
])
/** Keys that decide which files are refused: they may change if a change of the data is accepted. */
const refusing = new Set(['data.maxPixels', 'data.corrupt', 'mask.dir'])
const isFree = (key: string) => free.has(key) || key.startsWith('checkpoint.') || key.startsWith('log.')

export interface Differences {
  /** Allowed differences. */
  readonly free: readonly string[]
  /** Differences that change the list of files. */
  readonly data: readonly string[]
  /** Differences that require a new run. */
  readonly fixed: readonly string[]
}

export function configDifferences(before: Config, after: Config): Differences {
  const changed = configKeys().filter((key) => valueAt(before, key) !== valueAt(after, key))
  const show = (key: string) => `${key}: ${valueAt(before, key)} → ${valueAt(after, key)}`
  return {
    free: changed.filter(isFree).map(show),
    data: changed.filter((key) => refusing.has(key)).map(show),
    fixed: changed.filter((key) => !isFree(key) && !refusing.has(key)).map(show),
  }
}
