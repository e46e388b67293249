/** A pretraining run from start to end: opens or resumes its folder, trains, and keeps the folder up to date. */
import { appendFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { listCheckpoints, loadCheckpoint, saveCheckpoint, type Training } from '../checkpoint/checkpoint.ts'
import { dimensionsOf, effectiveBatch, scheduleOf } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import { type MachinePlan, planMachine } from '../machine/plan.ts'
import { patchWidth } from '../model/dimensions.ts'
import { initialParameters, parameterCount } from '../model/parameters.ts'
import { initialAdamW } from '../optim/adamw.ts'
import { drawLossCurve } from '../picture/loss-curve.ts'
import { drawReconstructions } from '../picture/reconstruction-grid.ts'
import { openLoader } from '../prepare/loader.ts'
import { normalizePixels } from '../prepare/normalize.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import { fingerprint, type ImageSource, openSource } from '../source/open.ts'
import { meanPredictionLoss } from '../target/pixels.ts'
import { engineBuild, setThreads } from '../tensor/context.ts'
import { liveTensors } from '../tensor/scope.ts'
import { train } from '../train/loop.ts'
import { untimed } from '../train/span.ts'
import type { Trainee } from '../train/step.ts'
import { channelStatistics, loaderOptions, objectiveOf } from './assemble.ts'
import { configDifferences } from './difference.ts'
import type { EndEvent, RunEvent } from './events.ts'
import { createRun, expectUnused, openRun, type RunFacts, runPaths, writeWhole } from './folder.ts'
import { appendMetric, appendProbe, readMetrics, readSkipped, rewindMetrics } from './journal.ts'
import { openOnlineProbe } from './online-probe.ts'
import { loadExhibit, reconstructExhibit } from './pictures.ts'
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
  readonly resume: boolean
  /** Aborting it ends the run after the current step, with a checkpoint. */
  readonly signal: AbortSignal
  /** Records where the time of the first steps goes, in `path` or the run's `trace.json`. */
  readonly profile?: { readonly path?: string; readonly steps: number }
}

const picturedImages = 6
const unprofiledSteps = 3 // the first ones are slower

interface Beginning {
  readonly source: ImageSource
  /** Differences from the configuration that a resumed run had. */
  readonly changes: readonly string[]
  /** What `run.json` holds, measured now or read. */
  readonly facts: (machine: MachinePlan) => Promise<RunFacts>
}

async function begin({ config, preset, data, out }: PretrainOptions): Promise<Beginning> {
  if (!data)
    throw new SherdError(
      'USAGE',
      'A new run needs --data, a folder of images. "sherd sample-data" makes one to try.',
    )
  const source = await openSource(data)
  expectUnused(out)
  const facts = async (machine: MachinePlan): Promise<RunFacts> => {
    const { mean, std } = await channelStatistics(config, source)
    return {
      format: 'sherd-run/1',
      preset,
      data: {
        dir: resolve(data),
        files: source.files.length,
        fingerprint: fingerprint(source),
        classes: [...source.classes],
      },
      statistics: { mean: [...mean], std: [...std] },
      started: new Date().toISOString(),
      engine: { libtorch: engineBuild().version, ...machine },
    }
  }
  return { source, changes: [], facts }
}

async function goOn({ config, data, out }: PretrainOptions): Promise<Beginning> {
  const { config: before, facts } = openRun(out)
  const { free, fixed } = configDifferences(before, config)
  if (fixed.length > 0) {
    throw new SherdError(
      'RUN',
      `${out} cannot go on with another configuration:\n  ${fixed.join('\n  ')}\nStart a new run for it with another --out.`,
    )
  }
  const source = await openSource(data ?? facts.data.dir)
  if (fingerprint(source) !== facts.data.fingerprint) {
    throw new SherdError(
      'RUN',
      `${source.dir} holds ${source.files.length} images that are not the ${facts.data.files} this run was started with. Restore them, or start a new run.`,
    )
  }
  return { source, changes: free, facts: async () => facts }
}

/**
 * Runs. Every event is written to the run's folder before it is yielded. Throws `SOURCE`, `DATA_BROKEN`, `RUN`, `VALUE`
 * before or while it runs, `NON_FINITE` with the step, the learning rate and the last good checkpoint.
 */
export async function* pretrain(options: PretrainOptions): AsyncGenerator<RunEvent> {
  const { config, out, resume, signal } = options
  const paths = runPaths(out)
  // Folders first: a mistyped one is told at once, and not after LibTorch has been loaded or the addon compiled.
  const { source, changes, facts: factsOn } = resume ? await goOn(options) : await begin(options)
  const machine = planMachine({ ...config.train, workers: config.data.workers })
  setThreads(machine.threads)
  const facts = await factsOn(machine)
  if (changes.length > 0) writeWhole(paths.config, `${JSON.stringify(config, null, 2)}\n`)
  const { device, precision } = machine
  const objective = objectiveOf(config, device)
  const schedule = scheduleOf(config, source.files.length)

  const latest = resume ? listCheckpoints(paths.checkpoints).at(-1) : undefined
  const training: Training = latest
    ? loadCheckpoint(latest.path, objective.rows, device)
    : fresh(initialParameters(objective.rows, { seed: config.train.seed, device }))
  const { kernels, recompute } = config.train
  const trainee: Trainee = { objective, device, precision, kernels, recompute, ...training }
  if (resume) rewindMetrics(paths.metrics, training.step)

  const exhibit = await loadExhibit(config, source, picturedImages)
  const model = { config, objective, parameters: trainee.parameters, statistics: facts.statistics, device }
  const { probe: probeDir, probeEverySteps } = config.log
  const look = probeDir === null ? null : await openOnlineProbe(probeDir, model, machine)
  const probe = (at: number): Promise<RunEvent> =>
    span('probe', async (): Promise<RunEvent> => {
      try {
        const metric = await look!(at)
        appendProbe(paths.metrics, metric)
        return metric
      } catch (error) {
        if (!(error instanceof SherdError)) throw error
        return { kind: 'warning', message: `The probe at step ${at} failed: ${error.message}` }
      }
    })
  if (!resume) createRun(out, config, facts) // only now, so that a run that could not begin leaves nothing behind
  const { path = paths.trace, steps: profiledSteps = 0 } = options.profile ?? {}
  const trace = options.profile && openTrace({ path, steps: profiledSteps, warmUp: unprofiledSteps, device })
  const span = trace?.span ?? untimed
  const news: SkippedFile[] = []
  const listed = new Set(readSkipped(paths.skipped).map(({ file }) => file))
  const onSkip = (file: SkippedFile) => {
    news.push(file)
    if (!listed.has(file.file)) appendFileSync(paths.skipped, `${JSON.stringify(file)}\n`)
  }
  const save = (step: number) => {
    const samples = step * effectiveBatch(config)
    return span('checkpoint', () =>
      saveCheckpoint(
        ...([paths.checkpoints, { ...training, step, samples }, config.checkpoint.keep] as const),
        weightsMetadata({ config, statistics: facts.statistics }),
      ),
    )
  }
  const draw = (step: number) =>
    span('pictures', async () => {
      const path = join(paths.samples, `step-${String(step).padStart(8, '0')}.png`)
      writeWhole(
        path,
        await drawReconstructions(reconstructExhibit(model, exhibit, config.train.seed), { step }),
      )
      return path
    })

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

  const loader = openLoader({ ...loaderOptions(config, source, machine, training.samples), onSkip })
  let step = training.step
  let saved = latest?.path
  let savedStep = latest?.step
  let pictured: string | null = null
  let picturedStep = -1
  let probedStep = -1
  let lastLoss: number | null = null
  try {
    const steps = train({
      ...{ trainee: { ...trainee, span }, loader, schedule, signal },
      toMicroBatch: ({ pixels, size, height, width, channels, epochs, indices }) => ({
        images: normalizePixels({ pixels, shape: [size, height, width, channels] }, facts.statistics, device),
        plan: objective.plan(config.train.seed, { epochs, indices }),
      }),
      update: config.optim,
      accumulate: config.train.accumulate,
      firstStep: training.step,
      samples: source.files.length,
    })
    for await (const event of steps) {
      step = event.step
      lastLoss = event.loss
      trace?.counters(() => ({
        ...{ loss: event.loss, 'images/s': event.imagesPerSecond, 'live tensors': liveTensors() },
        'resident MB': process.memoryUsage.rss() / 1e6,
      }))
      if (step % config.log.everySteps === 0) yield { kind: 'step', ...appendMetric(paths.metrics, event) }
      for (const file of news.splice(0)) yield { kind: 'skip', ...file }
      if (step % config.checkpoint.everySteps === 0) {
        saved = save(step)
        savedStep = step
        yield { kind: 'checkpoint', step, path: saved }
      }
      if (config.log.pictureEverySteps > 0 && step % config.log.pictureEverySteps === 0) {
        pictured = await draw(step)
        picturedStep = step
        yield { kind: 'picture', step, path: pictured }
      }
      if (look && step % probeEverySteps === 0) {
        yield await probe(step)
        probedStep = step
      }
    }
  } catch (error) {
    if (!(error instanceof SherdError) || error.code !== 'NON_FINITE') {
      if (step !== savedStep && step > training.step) save(step) // broken data or a dead worker do not spoil the weights
      throw error
    }
    // A checkpoint of the weights that gave this is none to go on from.
    const last = listCheckpoints(paths.checkpoints).findLast((checkpoint) => checkpoint.step < step)
    const good = last ? `The last good checkpoint is ${last.path}.` : 'There is no good checkpoint yet.'
    const advice = 'A lower optim.baseLearningRate, a longer warm-up or optim.clipGradientNorm may help.'
    throw new SherdError('NON_FINITE', `${error.message}. ${good} ${advice}`, { cause: error })
  } finally {
    await loader.close()
  }

  if (savedStep !== step || !saved) {
    saved = save(step)
    yield { kind: 'checkpoint', step, path: saved }
  }
  if (picturedStep !== step && config.log.pictureEverySteps > 0) pictured = await draw(step)
  if (look && probedStep !== step && step === schedule.totalSteps) yield await probe(step)
  if (trace) yield { kind: 'profile', ...trace.profile() }
  const metrics = readMetrics(paths.metrics)
  const end: EndEvent = {
    kind: 'end',
    reason: step < schedule.totalSteps ? 'interrupted' : 'completed',
    step,
    loss: lastLoss ?? metrics.at(-1)?.loss ?? null,
    checkpoint: saved,
    picture: pictured,
    lossCurve: null,
    skipped: loader.skipped.length,
  }
  if (metrics.length === 0) {
    yield end
    return
  }
  const baseline = meanPredictionLoss(patchWidth(dimensionsOf(config)))
  const { png } = await drawLossCurve({ points: metrics, ...(config.target.normalize && { baseline }) })
  writeWhole(paths.lossCurve, png)
  yield { ...end, lossCurve: paths.lossCurve }
}

function fresh(parameters: Training['parameters']): Training {
  return { parameters, optimizer: initialAdamW(parameters), step: 0, samples: 0 }
}
