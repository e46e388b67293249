/** A run that is there already: whether the same request began it, and what a complete one has come to. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { isRun, openRun, type RunFacts, runPaths } from '../checkpoint/run-folder.ts'
import { completed } from '../config/assemble.ts'
import { resolveConfig, totalSteps } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import { quoted } from '../files/shell.ts'
import type { MetricRow } from '../objective/objective.ts'
import { locate } from '../weights/frozen-model.ts'
import { fitBatch } from './batch-size.ts'
import type { BeginOptions } from './begin.ts'
import { configDifferences } from './config-difference.ts'
import { donorName, findDonor } from './donor.ts'
import type { EndEvent, StartEvent } from './events.ts'
import { readMetrics, readNotes, readSkipped } from './journal.ts'

export interface RunRequest extends BeginOptions {
  readonly hours?: number | undefined
}

export type Existing =
  /** A blank folder, or none, or one that is no run, which `pretrain` refuses. */
  | { readonly state: 'none' }
  /** To be resumed with this configuration. */
  | { readonly state: 'incomplete'; readonly config: Config }
  | ({ readonly state: 'complete' } & ReturnType<typeof endOfComplete>)

/** The run that the same request began before. Throws `USAGE` if another request began it, with each difference and the ways out. */
export async function existingRun(request: RunRequest): Promise<Existing> {
  const { out } = request
  if (!isRun(out)) return { state: 'none' }
  return (await expectSameRequest(request)).isComplete
    ? { state: 'complete', ...endOfComplete(out) }
    : { state: 'incomplete', config: openRun(out).config }
}

/**
 * Whether the run in `out` is complete. Throws `USAGE` if another request began it, with each difference and the ways out; `RUN` if there is no
 * run.
 */
export async function expectSameRequest(request: RunRequest): Promise<{ readonly isComplete: boolean }> {
  const { out, preset, data, hours } = request
  const { config: before, facts, latest } = openRun(out)
  // Their number follows from the hours.
  const given = hours === undefined ? request.config : withSteps(request.config, before.train.steps)
  const { config } = fitBatch(await completed(given, locate), facts.data.files)
  const { free, data: refusing, fixed } = configDifferences(before, config)
  const presets = change('preset', facts.preset, preset)
  const images = data === undefined ? [] : change('--data', facts.data.dir, resolve(data))
  const started = [
    ...(await initChanges(facts, request)),
    ...(hours === undefined ? [] : change('--hours', facts.hours, hours)),
  ]
  // With another preset every key differs.
  const lasting = presets.length > 0 ? presets : [...fixed, ...started]
  const others = [...lasting, ...images, ...(presets.length > 0 ? [] : [...free, ...refusing])]
  if (others.length === 0)
    return { isComplete: latest !== null && latest.step >= totalSteps(before, facts.data.files) }
  const ways =
    lasting.length > 0
      ? `Choose another folder for --out, or replace it by a new one with --overwrite. To continue what is there: "sherd pretrain --out ${quoted(out)} --resume"`
      : `Continue it so with --resume${refusing.length > 0 ? ' --accept-data-change' : ''}, or replace it by a new one with --overwrite.`
  throw new SherdError(
    'USAGE',
    `${out} holds a run of another request:\n  ${others.slice(0, 20).join('\n  ')}\n${ways}`,
  )
}

const change = (name: string, was: unknown, is: unknown) =>
  was === is ? [] : [`${name}: ${was ?? 'not set'} → ${is ?? 'not set'}`]

/** Another donor, or the same with other weights. */
async function initChanges(
  { init: was, initSha256 }: Pick<RunFacts, 'init' | 'initSha256'>,
  { init, config }: Pick<RunRequest, 'init' | 'config'>,
): Promise<string[]> {
  const name = init === undefined ? undefined : await donorName(init)
  if (name !== was || name === undefined || initSha256 === undefined) return change('--init', was, name)
  const now = (await findDonor(init!, config)).seal()
  const shown = (seal: string) => `${name}, of SHA-256 ${seal.slice(0, 12)}…`
  return change('--init', shown(initSha256), shown(now))
}

/** The configuration with so many steps. */
export const withSteps = (config: Config, steps: number | null): Config =>
  resolveConfig({ ...config, train: { ...config.train, steps } })

/** The end of a run that is complete, from its folder. */
function endOfComplete(out: string): {
  readonly end: EndEvent
  readonly start: Pick<StartEvent, 'run' | 'data' | 'classes' | 'metrics'>
} {
  const { config, facts, latest } = openRun(out)
  const paths = runPaths(out)
  const losses = readMetrics(paths.metrics)
  const pictures = existsSync(paths.samples)
    ? readdirSync(paths.samples).filter((name) => name.endsWith('.png'))
    : []
  const last = readNotes(paths.journal).findLast(({ event }) => event === 'completed')
  const { skippedSteps = 0, rollbacks = 0 } = (last ?? {}) as { skippedSteps?: number; rollbacks?: number }
  const picture = pictures.sort().at(-1)
  return {
    end: {
      ...{ kind: 'end', reason: 'completed', step: latest?.step ?? 0 },
      ...{ totalSteps: totalSteps(config, facts.data.files), seconds: null, imagesPerSecond: null },
      ...{ loss: losses.at(-1)?.loss ?? null, firstLoss: losses[0]?.loss ?? null },
      checkpoint: latest?.path ?? null,
      picture: picture === undefined ? null : join(paths.samples, picture),
      lossCurve: existsSync(paths.lossCurve) ? paths.lossCurve : null,
      ...{ skipped: readSkipped(paths.skipped).length, skippedSteps, rollbacks },
    },
    start: {
      ...{ run: resolve(out), data: facts.data.dir, classes: facts.data.classes.length },
      metrics: rowsOf(paths.metricsSchema),
    },
  }
}

function rowsOf(path: string): MetricRow[] {
  try {
    return (JSON.parse(readFileSync(path, 'utf8')) as { rows: MetricRow[] }).rows
  } catch {
    return [] // a run of an earlier version
  }
}
