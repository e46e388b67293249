/** What a training was and came to, in a form that others can check. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Report } from '../src/evaluate/evaluate.ts'
import { describeMachine } from '../src/machine/describe.ts'
import { packageRoot } from '../src/package-root.ts'

export const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
export const readJson = <T>(path: string): T => JSON.parse(readFileSync(path, 'utf8')) as T

/** Keys whose value is where another model lies. */
const paths = ['target.model', 'target.tokenizer', 'mask.model']

/** Of a run's configuration without paths: the same for the same training, wherever its teacher lies. */
export function configHash(run: string): string {
  const config = readJson<Record<string, Record<string, unknown>>>(join(run, 'config.json'))
  for (const path of paths) {
    const [group, key] = path.split('.') as [string, string]
    if (config[group]?.[key]) config[group][key] = null
  }
  return sha256(JSON.stringify(config))
}

/** Of the numbers alone: what precedes them names the configuration, and in it the place of a teacher. */
export function lastWeights(run: string): string {
  const last = readdirSync(join(run, 'checkpoints')).sort().at(-1)!
  const file = readFileSync(join(run, 'checkpoints', last, 'model.safetensors'))
  return sha256(file.subarray(8 + Number(file.readBigUInt64LE(0))))
}

export interface Progress {
  /** Of the first and of the last step. */
  readonly loss: readonly [first: number, last: number]
  /** Median over the steps, of a machine that may have had other work. */
  readonly imagesPerSecond: number | null
}

type Metrics = Readonly<Record<string, unknown>> & {
  readonly loss?: number
  readonly imagesPerSecond?: number
}

const stepsOf = (run: string): Metrics[] =>
  readFileSync(join(run, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Metrics)
    .filter(({ loss }) => typeof loss === 'number')

/** Of the last step: losses by part, codes in use and the like; not what depends on the machine. */
export function lastMetrics(run: string): Metrics {
  const { imagesPerSecond, stepSeconds, dataWaitSeconds, residentBytes, time, ...metrics } =
    stepsOf(run).at(-1)!
  return metrics
}

export function progressOf(run: string): Progress {
  const steps = stepsOf(run)
  const rates = steps.flatMap(({ imagesPerSecond }) => imagesPerSecond ?? []).sort((a, b) => a - b)
  return { loss: [steps[0]!.loss!, steps.at(-1)!.loss!], imagesPerSecond: rates[rates.length >> 1] ?? null }
}

export function engineOf(run: string): { readonly precision: string; readonly threads: number } {
  const { engine } = readJson<{ engine: { precision: string; threads: number } }>(join(run, 'run.json'))
  return { precision: engine.precision, threads: engine.threads }
}

function commitOf(): string {
  try {
    return execFileSync('git', ['-C', packageRoot(), 'describe', '--always', '--dirty', '--exclude', '*'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return 'a build without git'
  }
}

/** When, where, and by which version. */
export function provenance(): { readonly commit: string; readonly machine: string; readonly date: string } {
  const { cpu, cores } = describeMachine()
  return { commit: commitOf(), machine: `${cpu}, ${cores} cores`, date: new Date().toISOString() }
}

export interface KeptReport {
  /** Of the report as JSON without spaces. */
  readonly sha256: string
  readonly report: Report
}

/** Without the place of `out`, which is of this machine alone. */
export function kept(report: Report, out: string): KeptReport {
  const text = JSON.stringify(report).replaceAll(`${out}/`, '')
  return { sha256: sha256(text), report: JSON.parse(text) as Report }
}

/** Top-1 of what was chosen on held-out images. */
export const topOf = ({ rows, chosen }: Report): number => rows[chosen.at(-1)!]!.top1.mean
