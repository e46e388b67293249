/** Opens a run, new or resumed: lock, facts, state, and inputs of its consumers. */
import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createRun, isBlank, isRun, type RunFacts, runPaths, updateConfig } from '../checkpoint/run-folder.ts'
import { allModelsOf, loaderOptions, maskFolderOf, objectiveOf } from '../config/assemble.ts'
import { recipeOf } from '../config/recipe.ts'
import { backboneOf, expectMasks } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import { makeFolder, writeWhole } from '../files/write-whole.ts'
import { type MachinePlan, planMachine } from '../machine/plan.ts'
import { isAdapter } from '../model/adapt.ts'
import { backboneRows } from '../model/backbone.ts'
import { allRows, learnedPrefix } from '../objective/averages.ts'
import type { MaskFunction } from '../objective/mask-chooser.ts'
import type { GroupRow } from '../optim/groups.ts'
import { openFeed } from '../prepare/cache/feed.ts'
import { expectMaskFiles } from '../prepare/masks/hidden-patches.ts'
import { setThreads } from '../tensor/context.ts'
import type { FileLock } from '../tensor/process.ts'
import { metricRows } from '../train/metrics.ts'
import { untimed } from '../train/span.ts'
import type { Trainee } from '../train/trainee.ts'
import { openFrozenModels } from '../weights/frozen-model.ts'
import type { Model } from '../weights/load-model.ts'
import { type Beginning, type BeginOptions, begin, resumeRun } from './begin.ts'
import { expectSameDonor, findDonor } from './donor.ts'
import type { RunProgress } from './events.ts'
import { withSteps } from './existing.ts'
import { COUNTLESS, fitToHours } from './fit.ts'
import { factsOfFrozen } from './frozen.ts'
import { inherit } from './inherit.ts'
import { appendNote, rewindMetrics } from './journal.ts'
import { lockRun } from './lock.ts'
import { openOnlineProbe } from './online-probe.ts'
import { loadExhibit, samplesOfPicture } from './pictures.ts'
import { begun, recover, type Start } from './recover.ts'
import { type Replacement, replaceRun, settleReplacement } from './replace.ts'
import type { Run } from './run.ts'
import { openTrace } from './trace.ts'

export interface OpenOptions extends BeginOptions {
  /** Resume the run in `out`, or begin it if there is none; default false. */
  readonly resume?: boolean
  /** Fits the steps of a new run to a time, which is measured first; a resumed one keeps its steps. Takes the place of `train.steps`. */
  readonly hours?: number | undefined
  /** Aborting it ends the run after the current step, with a checkpoint. */
  readonly signal?: AbortSignal
  /** Called when it opens, before steps are measured, after every step, logged or not, and before what is done between steps. */
  readonly onProgress?: (progress: RunProgress) => void
  /** Records where the time of the first steps goes, in `path` or the run's `trace.json`. */
  readonly profile?: { readonly path?: string; readonly steps: number }
  /** What is hidden, in place of the configuration's masks; a run that was begun with one resumes with it. */
  readonly mask?: MaskFunction
  /** What a step computes; tests give objectives that fail. */
  readonly objectiveOf?: typeof objectiveOf
}

const picturedImages = 6
const unprofiledSteps = 3 // the first ones are slower

/**
 * Checks folders first, so that a mistyped one is reported before LibTorch is loaded or the addon compiled; creates the folder of a new run
 * last, so that a failure leaves nothing behind.
 */
export async function openPretraining(options: OpenOptions): Promise<Run> {
  const { out, hours } = options
  const started = performance.now()
  options.onProgress?.({ doing: 'opening', ...nothingYet })
  settleReplacement(out)
  const isResumed = (options.resume ?? false) && !(isBlank(out) && options.data)
  const replacement = options.overwrite && !isResumed ? replaceRun(out, inputsOf(options)) : null
  const held: Held[] = []
  const close = () => {
    replacement?.restore() // unless it was dropped
    for (const each of held) each.release()
  }
  try {
    // As with --steps, batches of a run that is fitted to a time may repeat images.
    const isFitted = hours !== undefined && !isResumed
    const asked = isFitted ? { ...options, config: withSteps(options.config, COUNTLESS) } : options
    const beginning = await (isResumed ? resumeRun(asked) : begin(asked))
    const { config } = beginning
    const machine = planMachine({ ...config.train, workers: config.data.workers })
    setThreads(machine.threads)
    if (isResumed) held.push(lockRun(out))
    const opening = { beginning, machine, held, replacement, started }
    return { ...(await prepare(asked, opening)), isResumed, replacement, close }
  } catch (error) {
    close()
    throw error
  }
}

/** What a run reads besides its own folder. */
const inputsOf = ({ init, data, config }: OpenOptions) => [
  ...[init, data, config.log.probe, maskFolderOf(config)],
  ...allModelsOf(config),
]

type Held = Pick<FileLock, 'release'>

interface Opening {
  readonly beginning: Beginning
  readonly machine: MachinePlan
  /** What is released at the end, and added to: the run's lock, but of a new run, whose folder is not there yet. */
  readonly held: Held[]
  readonly replacement: Replacement | null
  /** When the run was asked for. */
  readonly started: number
}

/** What is known last. */
type Known = Pick<Run, 'config' | 'facts' | 'recipe' | 'trace' | 'fitted'>

async function prepare(options: OpenOptions, { beginning, machine, held, replacement, started }: Opening) {
  const { out, hours, signal, onProgress } = options
  const isResumed = held.length > 0
  const paths = runPaths(out)
  const { config, source, notes, changes } = beginning
  const found = await beginning.facts(machine)
  const { device, precision } = machine
  if (options.mask) expectMasks(config, 'A function that says what is hidden')
  const models = await openFrozenModels({ config, machine, statistics: found.statistics })
  const objective = (options.objectiveOf ?? objectiveOf)(config, device, { models, mask: options.mask })
  const { masks } = objective.views.image
  if (masks) expectMaskFiles(masks.dir, source.files)
  const facts = factsOfMask(factsOfFrozen(found, objective, isResumed), options, isResumed)
  if (beginning.isDataChanged) writeWhole(paths.facts, `${JSON.stringify(facts, null, 2)}\n`)
  if (isResumed) updateConfig(out, config)
  const recipeFor = (config: Config) => {
    const own = recipeOf(config, source.files.length)
    return { ...own, schedules: { ...objective.schedules, ...own.schedules } }
  }
  const recipe = recipeFor(config)
  const { init } = facts
  const { seed, kernels, recompute, record } = config.train
  const start: Start = {
    ...{ rows: allRows(objective), optimizer: recipe.optimizer, seed, device },
    ...(init !== undefined && {
      given: async () => {
        const found = await findDonor(init, config)
        if (isResumed) expectSameDonor(out, found, facts)
        const donor = await found.open()
        return () => inherit(donor, objective.rows, config, learnedPrefix(objective)).tensors
      },
    }),
  }
  const {
    training: state,
    checkpoint: latest,
    damaged,
  } = await (isResumed ? recover(paths.checkpoints, start) : begun(start))
  if (isResumed) rewindMetrics(paths.metrics, state.step)

  const { parameters } = state
  const exhibit = await loadExhibit(config, source, samplesOfPicture(config, picturedImages), { masks })
  const model: Model = { config, objective, parameters, statistics: facts.statistics, device }
  const feed = await openFeed(config.data.kind === 'images' ? config.data.cache : 'none', {
    ...{ views: objective.views, statistics: facts.statistics, device, signal },
    loader: loaderOptions(config, source, machine, { views: objective.views }),
  })
  held.push({ release: feed.close })
  const { probe } = config.log
  const probing = probe === null ? null : await openOnlineProbe(probe, model, machine)
  const metrics = [...metricRows(objective), ...(probing?.metrics ?? [])]
  const note: Run['note'] = (event, more = {}) => {
    try {
      appendNote(paths.journal, { event, ...more })
    } catch {
      // the events report it, too
    }
  }
  /** What follows from the configuration, which is complete once the steps are known. */
  const runOf = (
    known: Pick<Run, 'config' | 'facts' | 'recipe' | 'trace' | 'fitted'>,
  ): Omit<Run, 'close'> => {
    const span = known.trace?.span ?? untimed
    return {
      ...{ out, paths, isResumed, source, feed, machine, objective, state, start, latest, replacement },
      ...{ notes, changes, damaged, metrics, exhibit, look: probing?.look ?? null, note, span, ...known },
      model: { ...model, config: known.config },
      trainee: {
        ...{ objective, parameters, state: state.optimizer, optimizer: known.recipe.optimizer },
        ...{ clip: known.recipe.clip, groups: init === undefined ? [] : frozenFirst(known, objective), span },
        ...{ seed, device, precision, kernels, recompute, record },
      },
      warning(message) {
        note('warning', { message })
        return { kind: 'warning', message }
      },
    }
  }
  const asIs: Known = { config, facts, recipe, trace: null, fitted: null }
  const writeSchema = () =>
    writeWhole(
      paths.metricsSchema,
      `${JSON.stringify({ format: 'sherd-metrics/1', rows: metrics }, null, 2)}\n`,
    )
  if (isResumed) {
    writeSchema()
    return runOf({ ...asIs, trace: openProfile(options, { paths, device }) })
  }
  replacement?.moveAside()
  const undo = makeRunFolder(out, held)
  try {
    let known = asIs
    if (hours !== undefined) {
      const elapsed = () => (performance.now() - started) / 1000
      onProgress?.({ doing: 'measuring', ...nothingYet })
      const fitted = await fitToHours(runOf(asIs), { hours, elapsed, ...(signal && { signal }) })
      const fitting = withSteps(config, fitted.steps)
      known = {
        ...asIs,
        ...{ config: fitting, recipe: recipeFor(fitting), facts: { ...facts, hours } },
        fitted,
      }
    }
    writeSchema()
    createRun(out, known.config, known.facts)
    return runOf({ ...known, trace: openProfile(options, { paths, device }) })
  } catch (error) {
    undo()
    throw error
  }
}

/** Notes that masks are those of a function. Throws `RUN` where a resumed run has none and had one, or the other way round. */
function factsOfMask(facts: RunFacts, { mask }: OpenOptions, isResumed: boolean): RunFacts {
  if (isResumed && (facts.mask === 'function') !== (mask !== undefined))
    throw new SherdError(
      'RUN',
      mask
        ? 'This run was begun with the masks of its configuration: resume it without a function, or start a new run.'
        : 'This run was begun with masks of a function: resume it in the library, by pretrain({ mask, … }) with the same one.',
    )
  return mask ? { ...facts, mask: 'function' } : facts
}

/** An encoder that was given stays as it is while new heads and decoders learn. */
function frozenFirst({ config, recipe }: Known, objective: Model['objective']): GroupRow[] {
  const prefix = learnedPrefix(objective)
  const names = new Set(backboneRows(backboneOf(config)).map(({ name }) => prefix + name))
  const match = (name: string) => names.has(name) || isAdapter(name)
  return [{ match, frozenUntil: config.optim.freezeEncoderSteps ?? recipe.warmup }]
}

const nothingYet = { step: 0, totalSteps: 0, last: null, secondsLeft: null, imagesPerSecond: null }

/** Makes and locks the folder of a new run. The returned function removes it, unless there is a run in it by now. */
function makeRunFolder(out: string, held: Held[]): () => void {
  const wasThere = existsSync(out)
  makeFolder(resolve(out))
  held.push(lockRun(out))
  return () => {
    if (isRun(out)) return
    for (const name of readdirSync(out)) rmSync(join(out, name), { recursive: true, force: true })
    if (!wasThere) rmdirSync(out)
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
