/**
 * A pretraining run from start to end: opens or resumes its folder, trains, keeps the folder up to date, and goes on after
 * whatever can be gone on after (docs/reliability.md).
 */
import { appendFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { saveCheckpoint } from '../checkpoint/checkpoint.ts'
import { dimensionsOf, effectiveBatch, scheduleOf } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { messageOf, SherdError } from '../errors.ts'
import { planMachine } from '../machine/plan.ts'
import { patchWidth } from '../model/dimensions.ts'
import { parameterCount } from '../model/parameters.ts'
import { drawLossCurve } from '../picture/loss-curve.ts'
import { drawReconstructions } from '../picture/reconstruction-grid.ts'
import { openLoader } from '../prepare/loader.ts'
import { normalizePixels } from '../prepare/normalize.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import { meanPredictionLoss } from '../target/pixels.ts'
import { engineBuild, setThreads } from '../tensor/context.ts'
import { liveTensors } from '../tensor/scope.ts'
import { describeTrouble, train } from '../train/loop.ts'
import { untimed } from '../train/span.ts'
import type { Trainee } from '../train/step.ts'
import { loaderOptions, objectiveOf } from './assemble.ts'
import { begin, goOn } from './begin.ts'
import type { EndEvent, RunEvent } from './events.ts'
import { createRun, isBlank, runPaths, writeWhole } from './folder.ts'
import { appendMetric, appendNote, appendProbe, readMetrics, readSkipped, rewindMetrics } from './journal.ts'
import { lockRun } from './lock.ts'
import { openOnlineProbe } from './online-probe.ts'
import { loadExhibit, reconstructExhibit } from './pictures.ts'
import { orderSeed, rollBack, startOrRecover } from './recover.ts'
import { openTrace } from './trace.ts'
import { weightsMetadata } from './weights-metadata.ts'

export interface PretrainOptions {
  readonly config: Config
  /** The preset's name, for the record. */
  readonly preset: string
  /** The folder of images, or of packed ones; a resumed run may leave it out. */
  readonly data: string | undefined
  /** The run's folder. */
  readonly out: string
  /** Goes on with the run in `out`, or begins it when there is none yet. */
  readonly resume: boolean
  /** Aborting it ends the run after the current step, with a checkpoint. */
  readonly signal: AbortSignal
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
  const { config, out, signal } = options
  const paths = runPaths(out)
  const resume = options.resume && !(isBlank(out) && options.data)
  // Folders first: a mistyped one is told at once, and not after LibTorch has been loaded or the addon compiled.
  const { source, changes, facts: factsOn } = resume ? await goOn(options) : await begin(options)
  const machine = planMachine({ ...config.train, workers: config.data.workers })
  setThreads(machine.threads)
  let lock = resume ? lockRun(out) : null
  try {
    const facts = await factsOn(machine)
    if (changes.length > 0) writeWhole(paths.config, `${JSON.stringify(config, null, 2)}\n`)
    const { device, precision } = machine
    const objective = (options.objectiveOf ?? objectiveOf)(config, device)
    const schedule = scheduleOf(config, source.files.length)
    const start = { rows: objective.rows, seed: config.train.seed, device }
    const { training, checkpoint: latest, damaged } = startOrRecover(paths.checkpoints, start)
    if (resume) rewindMetrics(paths.metrics, training.step)

    const { kernels, recompute } = config.train
    const trainee: Trainee = { objective, device, precision, kernels, recompute, ...training }
    const exhibit = await loadExhibit(config, source, picturedImages)
    const model = { config, objective, parameters: trainee.parameters, statistics: facts.statistics, device }
    const { probe: probeDir, probeEverySteps } = config.log
    const look = probeDir === null ? null : await openOnlineProbe(probeDir, model, machine)
    if (!resume) createRun(out, config, facts) // only now, so that a run that could not begin leaves nothing behind
    lock ??= lockRun(out)
    const note = (event: string, more: object = {}) => appendNote(paths.journal, { event, ...more })
    note(resume ? 'resumed' : 'began', { step: training.step, process: process.pid, changes })

    const { path = paths.trace, steps: profiledSteps = 0 } = options.profile ?? {}
    const trace =
      options.profile && openTrace({ path, steps: profiledSteps, warmUp: unprofiledSteps, device })
    const span = trace?.span ?? untimed
    const news: SkippedFile[] = []
    const listed = new Set(readSkipped(paths.skipped).map(({ file }) => file))
    const onSkip = (file: SkippedFile) => {
      if (listed.has(file.file)) return
      listed.add(file.file)
      news.push(file)
      appendFileSync(paths.skipped, `${JSON.stringify(file)}\n`)
    }
    const warning = (message: string): RunEvent => {
      note('warning', { message })
      return { kind: 'warning', message }
    }
    /** For what is done beside the training: a failure there is told, and the run goes on. */
    const beside = async (what: string, body: () => Promise<RunEvent>): Promise<RunEvent> => {
      try {
        return await body()
      } catch (error) {
        return warning(`${what} failed: ${messageOf(error)}`)
      }
    }
    const save = (step: number) => {
      const samples = step * effectiveBatch(config)
      const { parameters, optimizer, skippedSteps, rollbacks } = training
      return span('checkpoint', () =>
        saveCheckpoint(
          ...([
            paths.checkpoints,
            { parameters, optimizer, step, samples, skippedSteps, rollbacks },
            config.checkpoint,
          ] as const),
          weightsMetadata({ config, statistics: facts.statistics }),
        ),
      )
    }
    const draw = (step: number) =>
      beside(`The picture of step ${step}`, () =>
        span('pictures', async (): Promise<RunEvent> => {
          const path = join(paths.samples, `step-${String(step).padStart(8, '0')}.png`)
          const rebuilt = reconstructExhibit(model, exhibit, config.train.seed)
          writeWhole(path, await drawReconstructions(rebuilt, { step }))
          pictured = path
          return { kind: 'picture', step, path }
        }),
      )
    const probe = (step: number) =>
      beside(`The probe at step ${step}`, () =>
        span('probe', async (): Promise<RunEvent> => {
          const metric = await look!(step)
          appendProbe(paths.metrics, metric)
          return metric
        }),
      )

    yield {
      kind: 'start',
      run: resolve(out),
      preset: facts.preset,
      images: source.files.length,
      classes: source.classes.length,
      parameters: parameterCount(objective.rows),
      effectiveBatch: effectiveBatch(config),
      totalSteps: schedule.totalSteps,
      firstStep: training.step,
      peakLearningRate: schedule.peak,
      libtorch: engineBuild().version,
      machine,
      changes,
    }
    for (const { path, reason } of damaged)
      yield warning(
        `A damaged checkpoint was set aside as ${path}: ${reason}. Going on from step ${training.step}.`,
      )

    let step = training.step
    let saved = latest
    let lastLoss: number | null = null
    let pictured: string | null = null
    let picturedStep = -1
    let probedStep = -1
    let inARow = 0
    /** Null while it trains; then how it ended. */
    let ending: 'done' | 'lost' | null = null
    while (ending !== 'done') {
      ending = null
      inARow = 0
      const loader = openLoader({
        ...loaderOptions(config, source, machine, training.samples),
        ...{ seed: orderSeed(config.train.seed, training.rollbacks), onSkip },
      })
      try {
        const steps = train({
          ...{ trainee: { ...trainee, span }, loader, schedule, signal },
          toMicroBatch: ({ pixels, size, height, width, channels, epochs, indices }) => ({
            images: normalizePixels(
              { pixels, shape: [size, height, width, channels] },
              facts.statistics,
              device,
            ),
            plan: objective.plan(config.train.seed, { epochs, indices }),
          }),
          update: config.optim,
          accumulate: config.train.accumulate,
          firstStep: training.step,
          samples: source.files.length,
        })
        for await (const event of steps) {
          step = event.step
          for (const file of news.splice(0)) yield { kind: 'skip', ...file }
          if (event.kind === 'trouble') {
            inARow++
            training.skippedSteps++
            const message = describeTrouble(event)
            note('skipped step', {
              step,
              loss: String(event.loss),
              gradientNorm: String(event.gradientNorm),
              first: event.first,
            })
            yield { kind: 'trouble', step, message, inARow, skippedSteps: training.skippedSteps }
            if (inARow <= config.train.maxSkippedSteps) continue
            const back = rollBack({
              ...{ dir: paths.checkpoints, training, start, lostAt: step - inARow + 1 },
              maxRollbacks: config.train.maxRollbacks,
            })
            if (!back.isPossible) {
              const report = {
                step,
                message,
                first: event.first,
                skippedSteps: training.skippedSteps,
                rollbacks: training.rollbacks,
              }
              writeWhole(paths.notFinite, `${JSON.stringify(report, null, 2)}\n`)
              throw new SherdError('NON_FINITE', `${message}. ${back.message} ${advice}`)
            }
            note('rolled back', { from: step, to: training.step, rollbacks: training.rollbacks })
            yield { kind: 'rollback', from: step, to: training.step, rollbacks: training.rollbacks, message }
            rewindMetrics(paths.metrics, training.step)
            saved = back.checkpoint
            step = training.step
            ending = 'lost'
            break
          }
          inARow = 0
          lastLoss = event.loss
          trace?.counters(() => ({
            ...{ loss: event.loss, 'images/s': event.imagesPerSecond, 'live tensors': liveTensors() },
            'resident MB': process.memoryUsage.rss() / 1e6,
          }))
          if (step % config.log.everySteps === 0)
            yield { kind: 'step', ...appendMetric(paths.metrics, event) }
          const isWanted = options.isSaveWanted?.() ?? false
          if (isWanted) note('checkpoint wanted', { step })
          if (isWanted || step % config.checkpoint.everySteps === 0) {
            saved = { step, path: save(step) }
            yield { kind: 'checkpoint', ...saved }
          }
          if (config.log.pictureEverySteps > 0 && step % config.log.pictureEverySteps === 0) {
            yield await draw(step)
            picturedStep = step
          }
          if (look && step % probeEverySteps === 0) {
            yield await probe(step)
            probedStep = step
          }
        }
        ending ??= 'done'
      } catch (error) {
        note('failed', { step, message: messageOf(error) })
        // Broken data or a dead worker do not spoil the weights. A checkpoint after a step that was not finite is none.
        if (inARow === 0 && step !== saved?.step && step > training.step) trySaving(save, step)
        throw error
      } finally {
        await loader.close()
      }
    }

    const isComplete = step === schedule.totalSteps
    if (saved?.step !== step && (inARow === 0 || isComplete)) {
      saved = { step, path: save(step) }
      yield { kind: 'checkpoint', ...saved }
    }
    if (picturedStep !== step && config.log.pictureEverySteps > 0) {
      const event = await draw(step)
      if (event.kind === 'warning') yield event
    }
    if (look && probedStep !== step && isComplete) yield await probe(step)
    if (trace) yield { kind: 'profile', ...trace.profile() }
    const metrics = readMetrics(paths.metrics)
    const end: EndEvent = {
      kind: 'end',
      reason: isComplete ? 'completed' : 'interrupted',
      step,
      loss: lastLoss ?? metrics.at(-1)?.loss ?? null,
      checkpoint: saved?.path ?? null,
      picture: pictured,
      lossCurve: null,
      skipped: listed.size,
      skippedSteps: training.skippedSteps,
      rollbacks: training.rollbacks,
    }
    note(end.reason, { step, checkpoint: end.checkpoint })
    if (metrics.length === 0) {
      yield end
      return
    }
    const baseline = meanPredictionLoss(patchWidth(dimensionsOf(config)))
    const { png } = await drawLossCurve({ points: metrics, ...(config.target.normalize && { baseline }) })
    writeWhole(paths.lossCurve, png)
    yield { ...end, lossCurve: paths.lossCurve }
  } finally {
    lock?.release()
  }
}

const advice = 'A lower optim.baseLearningRate, a longer warm-up or optim.clipGradientNorm may help.'

/** When a run has failed already, what it failed by is told, and not that its last steps could not be saved. */
function trySaving(save: (step: number) => string, step: number): void {
  try {
    save(step)
  } catch {
    // the disk may be what it failed by
  }
}
