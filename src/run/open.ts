/** Opens a run, new or resumed: lock, facts, state, and inputs of its consumers. */
import { resolve } from 'node:path'
import type { Listed } from '../checkpoint/retention.ts'
import { createRun, isBlank, type RunFacts, runPaths, updateConfig } from '../checkpoint/run-folder.ts'
import { objectiveOf } from '../config/assemble.ts'
import { recipeOf } from '../config/recipe.ts'
import type { Config } from '../config/schema.ts'
import { makeFolder, writeWhole } from '../files/write-whole.ts'
import { type MachinePlan, planMachine } from '../machine/plan.ts'
import { allRows, learnedPrefix } from '../objective/averages.ts'
import type { MetricRow } from '../objective/objective.ts'
import type { ImageSource } from '../source/open.ts'
import { setThreads } from '../tensor/context.ts'
import type { FileLock } from '../tensor/process.ts'
import { metricRows } from '../train/metrics.ts'
import { type Span, untimed } from '../train/span.ts'
import type { Trainee } from '../train/trainee.ts'
import { openFrozenModel } from '../weights/frozen-model.ts'
import type { Model } from '../weights/load-model.ts'
import { type Beginning, type BeginOptions, begin, resumeRun } from './begin.ts'
import type { RunEvent } from './events.ts'
import { factsOfFrozen } from './frozen.ts'
import { inherit } from './inherit.ts'
import { appendNote, rewindMetrics } from './journal.ts'
import { lockRun } from './lock.ts'
import { type OnlineProbe, openOnlineProbe, probeRows } from './online-probe.ts'
import { type Exhibit, loadExhibit, samplesOfPicture } from './pictures.ts'
import { type Recovered, type RunState, type Start, startOrRecover } from './recover.ts'
import { openTrace, type Trace } from './trace.ts'

export interface OpenOptions extends BeginOptions {
  /** Resume the run in `out`, or begin it if there is none; default false. */
  readonly resume?: boolean
  /** Records where the time of the first steps goes, in `path` or the run's `trace.json`. */
  readonly profile?: { readonly path?: string; readonly steps: number }
  /** What a step computes; tests give objectives that fail. */
  readonly objectiveOf?: typeof objectiveOf
}

export interface Run extends Pick<Beginning, 'notes' | 'changes'>, Pick<Recovered, 'damaged'> {
  readonly out: string
  readonly paths: ReturnType<typeof runPaths>
  readonly isResumed: boolean
  readonly config: Config
  readonly facts: RunFacts
  readonly source: ImageSource
  readonly machine: MachinePlan
  readonly objective: Model['objective']
  /** With the objective's schedules. */
  readonly recipe: ReturnType<typeof recipeOf>
  readonly trainee: Trainee
  /** Rows of all logged numbers, as in `metrics.schema.json`. */
  readonly metrics: readonly MetricRow[]
  /** Written by the loop only. */
  readonly state: RunState
  /** The initial state, also for a rollback without a checkpoint. */
  readonly start: Start
  /** The resumed checkpoint. */
  readonly latest: Listed | null
  readonly model: Model
  readonly exhibit: Exhibit
  /** Null without a probe. */
  readonly look: OnlineProbe | null
  readonly trace: Trace | null
  readonly span: Span
  /** Writes to the journal. Failing to do so does not end the run. */
  note(event: string, more?: object): void
  /** A warning event, also written to the journal. */
  warning(message: string): RunEvent
  close(): void
}

const picturedImages = 6
const unprofiledSteps = 3 // the first ones are slower

/**
 * Checks folders first, so that a mistyped one is reported before LibTorch is loaded or the addon compiled; creates the folder of a new run
 * last, so that a failure leaves nothing behind.
 */
export async function openPretraining(options: OpenOptions): Promise<Run> {
  const { out } = options
  const isResumed = (options.resume ?? false) && !(isBlank(out) && options.data)
  const beginning = await (isResumed ? resumeRun(options) : begin(options))
  const { config } = beginning
  const machine = planMachine({ ...config.train, workers: config.data.workers })
  setThreads(machine.threads)
  const held: FileLock[] = []
  const close = () => {
    for (const lock of held) lock.release()
  }
  try {
    if (isResumed) held.push(lockRun(out))
    return { ...(await prepare(options, { beginning, machine, held })), isResumed, close }
  } catch (error) {
    close()
    throw error
  }
}

interface Opening {
  readonly beginning: Beginning
  readonly machine: MachinePlan
  /** The run's lock, but of a new run, whose folder is not there yet; it is added. */
  readonly held: FileLock[]
}

async function prepare(options: OpenOptions, { beginning, machine, held }: Opening) {
  const { out } = options
  const isResumed = held.length > 0
  const paths = runPaths(out)
  const { config, source, notes, changes } = beginning
  const found = await beginning.facts(machine)
  const { device, precision } = machine
  const objective = (options.objectiveOf ?? objectiveOf)(config, device, {
    frozen: (path) => openFrozenModel(path, { ...{ config, machine }, statistics: found.statistics }),
  })
  const facts = factsOfFrozen(found, objective, isResumed)
  if (beginning.isDataChanged) writeWhole(paths.facts, `${JSON.stringify(facts, null, 2)}\n`)
  if (isResumed) updateConfig(out, config)
  const own = recipeOf(config, source.files.length)
  const recipe = { ...own, schedules: { ...objective.schedules, ...own.schedules } }
  const { init } = facts
  const { seed, kernels, recompute } = config.train
  const start: Start = {
    ...{ rows: allRows(objective), optimizer: recipe.optimizer, seed, device },
    ...(init !== undefined && {
      given: () => inherit(init, objective.rows, config, learnedPrefix(objective)).tensors,
    }),
  }
  const { training: state, checkpoint: latest, damaged } = startOrRecover(paths.checkpoints, start)
  if (isResumed) rewindMetrics(paths.metrics, state.step)

  const { parameters } = state
  const exhibit = await loadExhibit(config, source, samplesOfPicture(config, picturedImages))
  const model: Model = { config, objective, parameters, statistics: facts.statistics, device }
  const { probe } = config.log
  const look = probe === null ? null : await openOnlineProbe(probe, model, machine)
  if (!isResumed) {
    makeFolder(resolve(out))
    held.push(lockRun(out))
  }
  const metrics = [...metricRows(objective), ...(look ? probeRows : [])]
  writeWhole(
    paths.metricsSchema,
    `${JSON.stringify({ format: 'sherd-metrics/1', rows: metrics }, null, 2)}\n`,
  )
  if (!isResumed) createRun(out, config, facts)
  const trace = openProfile(options, { paths, device })
  const span = trace?.span ?? untimed
  const note: Run['note'] = (event, more = {}) => {
    try {
      appendNote(paths.journal, { event, ...more })
    } catch {
      // the events report it, too
    }
  }
  return {
    ...{ out, paths, config, facts, source, machine, objective, recipe, state, start, latest },
    ...{ notes, changes, damaged, metrics, model, exhibit, look, trace, span, note },
    trainee: {
      ...{ objective, parameters, state: state.optimizer, ...recipe, groups: [], span },
      ...{ seed, device, precision, kernels, recompute },
    },
    warning(message: string): RunEvent {
      note('warning', { message })
      return { kind: 'warning', message }
    },
  }
}

function openProfile(
  { profile }: OpenOptions,
  { paths, device }: Pick<Run, 'paths'> & Pick<Trainee, 'device'>,
) {
  if (!profile) return null
  const { path = paths.trace, steps } = profile
  return openTrace({ path, steps, warmUp: unprofiledSteps, device })
}
