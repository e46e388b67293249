/**
 * A pretraining run from start to end: opens or resumes its folder, trains, keeps the folder up to date, and goes on after
 * whatever can be gone on after (docs/reliability.md).
 */
import { resolve } from 'node:path'
import { createRun, isBlank, runPaths, updateConfig } from '../checkpoint/run-folder.ts'
import { loaderOptions, objectiveOf } from '../config/assemble.ts'
import { recipeOf } from '../config/recipe.ts'
import { effectiveBatch } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { messageOf, SherdError } from '../errors.ts'
import { makeFolder, writeWhole } from '../files/write-whole.ts'
import { planMachine } from '../machine/plan.ts'
import { parameterCount } from '../model/parameters.ts'
import { allRows } from '../objective/averages.ts'
import { updatesTaken } from '../optim/optimizer.ts'
import { openLoader } from '../prepare/loader/loader.ts'
import { toImages } from '../prepare/normalize.ts'
import { engineBuild, setThreads } from '../tensor/context.ts'
import { liveTensors, scope } from '../tensor/scope.ts'
import { train } from '../train/loop.ts'
import { untimed } from '../train/span.ts'
import type { Trainee } from '../train/trainee.ts'
import { begin, goOn } from './begin.ts'
import type { RunEvent } from './events.ts'
import { inherit } from './inherit.ts'
import { appendMetric, readMetrics, rewindMetrics } from './journal.ts'
import { lockRun } from './lock.ts'
import { meetTrouble } from './non-finite.ts'
import { openOnlineProbe } from './online-probe.ts'
import { loadExhibit, samplesOfPicture } from './pictures.ts'
import { orderSeed, startOrRecover } from './recover.ts'
import { openTrace } from './trace.ts'
import { openUpkeep } from './upkeep.ts'

export interface PretrainOptions {
  readonly config: Config
  /** The preset's name, for the record. */
  readonly preset: string
  /** The folder of images, or of packed ones; a resumed run may leave it out. */
  readonly data: string | undefined
  /** The run's folder. */
  readonly out: string
  /** Weights to begin a new run with: a run, a checkpoint, or a .safetensors file; of other bands, they are inflated. */
  readonly init?: string | undefined
  /** Goes on with a run though its folder of images holds other files than before, and records it. */
  readonly acceptDataChange?: boolean | undefined
  /** Goes on with the run in `out`, or begins it when there is none yet; false by default. */
  readonly resume?: boolean
  /** Aborting it ends the run after the current step, with a checkpoint. */
  readonly signal?: AbortSignal
  /** Asked after every step; when it says yes, a checkpoint is saved and the run goes on. */
  readonly isSaveWanted?: () => boolean
  /** Records where the time of the first steps goes, in `path` or the run's `trace.json`. */
  readonly profile?: { readonly path?: string; readonly steps: number }
  /** What a step computes; tests give objectives that fail. */
  readonly objectiveOf?: typeof objectiveOf
}

const picturedImages = 6
const unprofiledSteps = 3 // the first ones are slower

/**
 * Runs. Every event is written to the run's folder before it is yielded. Throws `SOURCE`, `DATA_BROKEN`, `RUN`, `VALUE`
 * before or while it runs, `NON_FINITE` with the step, the learning rate, the first tensor and the last good checkpoint.
 */
export async function* pretrain(options: PretrainOptions): AsyncGenerator<RunEvent> {
  const { out, signal = new AbortController().signal } = options
  const paths = runPaths(out)
  const resume = (options.resume ?? false) && !(isBlank(out) && options.data)
  // Folders first: a mistyped one is told at once, and not after LibTorch has been loaded or the addon compiled.
  const {
    config,
    source,
    notes,
    changes,
    facts: factsOn,
    isDataChanged,
  } = resume ? await goOn(options) : await begin(options)
  const machine = planMachine({ ...config.train, workers: config.data.workers })
  setThreads(machine.threads)
  let lock = resume ? lockRun(out) : null
  try {
    const facts = await factsOn(machine)
    if (isDataChanged) writeWhole(paths.facts, `${JSON.stringify(facts, null, 2)}\n`)
    if (resume) updateConfig(out, config)
    const { device, precision } = machine
    const objective = (options.objectiveOf ?? objectiveOf)(config, device)
    const recipe = recipeOf(config, source.files.length)
    const { totalSteps } = recipe
    const schedules = { ...objective.schedules, ...recipe.schedules }
    const { init } = facts
    const given = init === undefined ? {} : { given: () => inherit(init, objective.rows, config).tensors }
    const { seed, kernels, recompute } = config.train
    const start = { rows: allRows(objective), optimizer: recipe.optimizer, seed, device, ...given }
    const { training, checkpoint: latest, damaged } = startOrRecover(paths.checkpoints, start)
    if (resume) rewindMetrics(paths.metrics, training.step)

    const { parameters, optimizer: state } = training
    const trainee: Trainee = {
      ...{ objective, parameters, state, ...recipe, groups: [], seed, device, precision, kernels, recompute },
    }
    const exhibit = await loadExhibit(config, source, samplesOfPicture(config, picturedImages))
    const model = { config, objective, parameters: trainee.parameters, statistics: facts.statistics, device }
    const { probe: probeDir, probeEverySteps, pictureEverySteps } = config.log
    const look = probeDir === null ? null : await openOnlineProbe(probeDir, model, machine)
    if (!lock) {
      makeFolder(resolve(out)) // only now, so that a run that could not begin leaves nothing behind
      lock = lockRun(out)
      createRun(out, config, facts)
    }
    const { path = paths.trace, steps: profiledSteps = 0 } = options.profile ?? {}
    const trace =
      options.profile && openTrace({ path, steps: profiledSteps, warmUp: unprofiledSteps, device })
    const span = trace?.span ?? untimed
    const upkeep = openUpkeep({ out, model, training, exhibit, look, span })
    upkeep.note(resume ? 'resumed' : 'began', { step: training.step, process: process.pid, changes })

    yield {
      kind: 'start',
      run: resolve(out),
      preset: facts.preset,
      images: source.files.length,
      classes: source.classes.length,
      parameters: parameterCount(objective.rows),
      effectiveBatch: effectiveBatch(config),
      totalSteps,
      firstStep: training.step,
      peakLearningRate: recipe.peak,
      libtorch: engineBuild().version,
      machine,
      changes,
    }
    for (const note of notes) yield upkeep.warning(note)
    if (init !== undefined && training.step === 0) {
      const { inheritance } = scope(() => inherit(init, objective.rows, config))
      upkeep.note('inherited', { ...inheritance })
      yield { kind: 'inherited', ...inheritance }
    }
    for (const { path, reason } of damaged)
      yield upkeep.warning(
        `A damaged checkpoint was set aside as ${path}: ${reason}. Going on from step ${training.step}.`,
      )

    let step = training.step
    let saved = latest
    let lastLoss: number | null = null
    let pictured: { readonly step: number; readonly path: string } | null = null
    let probedStep = -1
    let inARow = 0
    let updates = updatesTaken(training.optimizer)
    let isLost = true // what was trained; then it is trained again from a good checkpoint
    while (isLost) {
      isLost = false
      inARow = 0
      const loader = openLoader({
        ...loaderOptions(config, source, machine, training.samples),
        ...{ seed: orderSeed(config.train.seed, training.rollbacks), onSkip: upkeep.onSkip },
      })
      try {
        const steps = train({
          ...{ trainee: { ...trainee, span }, loader, schedules, totalSteps, signal },
          toDeviceBatch: (batch) => toImages(batch, facts.statistics, device),
          accumulate: config.train.accumulate,
          firstStep: training.step,
          samples: source.files.length,
        })
        for await (const event of steps) {
          step = event.step
          for (const file of upkeep.newlySkipped()) yield { kind: 'skip', ...file }
          if (event.kind === 'trouble') {
            inARow++
            const met = meetTrouble(event, { out, config, training, start, inARow, note: upkeep.note })
            yield* met.events
            if (!met.rolledBack) continue
            saved = met.rolledBack.checkpoint
            step = training.step
            updates = updatesTaken(training.optimizer)
            isLost = true
            break
          }
          inARow = 0
          updates = updatesTaken(training.optimizer)
          lastLoss = event.loss
          trace?.counters(() => ({
            ...{ loss: event.loss, 'images/s': event.imagesPerSecond, 'live tensors': liveTensors() },
            'resident MB': process.memoryUsage.rss() / 1e6,
          }))
          if (step % config.log.everySteps === 0)
            yield { kind: 'step', ...appendMetric(paths.metrics, event) }
          const isWanted = options.isSaveWanted?.() ?? false
          if (isWanted) upkeep.note('checkpoint wanted', { step })
          if (isWanted || step % config.checkpoint.everySteps === 0) {
            saved = upkeep.save(step)
            yield { kind: 'checkpoint', ...saved }
          }
          if (pictureEverySteps > 0 && step % pictureEverySteps === 0) {
            const told = await upkeep.draw(step)
            if (told.kind === 'picture') pictured = told
            yield told
          }
          if (look && step % probeEverySteps === 0) {
            yield await upkeep.probe(step)
            probedStep = step
          }
        }
      } catch (error) {
        upkeep.note('failed', { step, message: messageOf(error) })
        // Broken data or a dead worker do not spoil the weights. A step that was not finite, or an update that failed
        // half way, leaves none to save.
        const isWhole = inARow === 0 && updatesTaken(training.optimizer) === updates
        if (isWhole && step !== saved?.step && step > training.step) trySaving(() => upkeep.save(step))
        throw withAdvice(error)
      } finally {
        await loader.close()
      }
    }

    const isComplete = step === totalSteps
    if (saved?.step !== step && (inARow === 0 || isComplete)) {
      saved = upkeep.save(step)
      yield { kind: 'checkpoint', ...saved }
    }
    if (pictured?.step !== step && pictureEverySteps > 0) {
      const told = await upkeep.draw(step)
      if (told.kind === 'picture') pictured = told
      else yield told
    }
    if (look && probedStep !== step && isComplete) yield await upkeep.probe(step)
    if (trace) yield { kind: 'profile', ...trace.profile() }
    const reason = isComplete ? 'completed' : 'interrupted'
    const { skippedSteps, rollbacks } = training
    upkeep.note(reason, { step, checkpoint: saved?.path ?? null, skippedSteps, rollbacks })
    const losses = await upkeep.drawLosses()
    yield* losses.warnings
    yield {
      ...{ kind: 'end', reason, step, skippedSteps, rollbacks },
      loss: lastLoss ?? readMetrics(paths.metrics).at(-1)?.loss ?? null,
      checkpoint: saved?.path ?? null,
      picture: pictured?.path ?? null,
      lossCurve: losses.path,
      skipped: upkeep.skippedCount(),
    }
  } finally {
    lock?.release()
  }
}

/** What to do when images are in the way. */
function withAdvice(error: unknown): unknown {
  if (!(error instanceof SherdError) || error.code !== 'DATA_BROKEN') return error
  const advice = 'Then go on with --resume, and --accept-data-change where files were removed.'
  return new SherdError(error.code, `${error.message}\n${advice}`, { cause: error })
}

/** When a run has failed already, what it failed by is told, and not that its last steps could not be saved. */
function trySaving(save: () => unknown): void {
  try {
    save()
  } catch {
    // the disk may be what it failed by
  }
}
