/** Fine-tuning with one seed: learning, looking at the validation images after each epoch, scoring on the test images at the end. */

import type { StoredArray } from '../checkpoint/arrays.ts'
import { loaderOptions } from '../config/assemble.ts'
import { readingConfig } from '../config/reading.ts'
import { interrupted, SherdError } from '../errors.ts'
import { groupsOf } from '../model/backbone-shape.ts'
import { heads } from '../model/classifier.ts'
import { initialParameters, isLearned, learnedIn, type Parameters } from '../model/parameters.ts'
import { allRows } from '../objective/averages.ts'
import { type Classification, classification, type Labelled } from '../objective/classification.ts'
import { adamw } from '../optim/adamw.ts'
import { layerDecayRow, layerOf, tokensKeepTheirSize } from '../optim/layer-decay.ts'
import { disposeState, initialState } from '../optim/optimizer.ts'
import { scaledLearningRate } from '../optim/schedule.ts'
import { openFeed } from '../prepare/cache/feed.ts'
import { type Batch, openLoader } from '../prepare/loader/loader.ts'
import type { ImageSource } from '../source/open.ts'
import { subsetOf } from '../source/subset.ts'
import { callInPlace } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import { toDevice } from '../tensor/ops.ts'
import { disposeAll, scope } from '../tensor/scope.ts'
import { fromArray, toArray } from '../tensor/tensor.ts'
import { expectFinite, train } from '../train/loop.ts'
import type { Trainee } from '../train/trainee.ts'
import { readView, statisticsOf } from '../weights/frozen-encoder.ts'
import { withWhole } from '../weights/merge-adapters.ts'
import { logitsOfSource, type OpenedClassifier } from '../weights/open-classifier.ts'
import { type FinetuneOptions, type Images, warmupOf } from './finetune-settings.ts'
import { type Attempt, type AttemptState, type Best, keep, kept } from './finetune-work.ts'
import { labelledBatch, noiseField } from './labelled-batch.ts'
import { fewRows } from './labelled-features.ts'
import { type Scores, scoresOf } from './scores.ts'

const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
const AVERAGE = 'average.' // prefix of the averaged weights

/** Parameters that are not trained: blocks below the trained ones, and embeddings of bands that the images lack. */
function staysFixed({ encoder, settings }: FinetuneOptions): (name: string) => boolean {
  const { depth } = encoder.dimensions
  const lowest = settings.blocks === null ? 0 : depth - settings.blocks + 1 // the lowest trained layer
  const unseen = groupsOf(encoder.shape).flatMap(({ embed }, g) =>
    encoder.only?.includes(g) === false ? [`${embed}.`] : [],
  )
  return (name) => layerOf(name, depth) < lowest || unseen.some((prefix) => name.startsWith(prefix))
}

/** The classifier's parameters and their averages: from the encoder where it has them, unless it starts from scratch. */
function startingParameters(
  task: Classification,
  { encoder, fromScratch }: FinetuneOptions,
  seed: number,
): Parameters {
  const all = initialParameters(allRows(task), { seed, device: encoder.device })
  if (!fromScratch)
    noGrad(() => {
      for (const [name, value] of encoder.parameters)
        for (const own of [all.get(name), all.get(AVERAGE + name)]) if (own) callInPlace('copy_', own, value)
    })
  return all
}

interface Scored {
  readonly scores: Scores
  readonly skipped: number
}

async function scoreOn(
  source: ImageSource,
  classifier: OpenedClassifier,
  signal: AbortSignal,
): Promise<Scored> {
  const { logits, indices, skipped, classes } = await logitsOfSource(classifier, source, { signal })
  const labels = Int32Array.from(indices, (index) => source.labels![index]!)
  return { scores: scoresOf(logits, labels, classes), skipped: skipped.length }
}

const copied = (parameters: Parameters): Map<string, StoredArray> =>
  new Map(
    [...parameters].map(([name, value]) => [
      name,
      { dtype: value.dtype, shape: value.shape, data: toArray(value).slice() },
    ]),
  )

export interface AttemptOptions {
  readonly seed: number
  /** Gets the classifier that counts, before its weights are freed, and what has been learned of it. */
  readonly onTrained: (trained: OpenedClassifier, learned: Parameters) => void
}

const KEEP_EVERY = 120 // s, by default

/** Throws `INTERRUPTED` when the signal is aborted, after it has kept the state where there is a place for it. */
export async function attempt(
  all: Images,
  options: FinetuneOptions,
  { seed, onTrained }: AttemptOptions,
): Promise<Attempt> {
  const begun = performance.now()
  const { encoder, settings, signal, work, keepEverySeconds = KEEP_EVERY, cache = 'none' } = options
  const { config, machine, dimensions, device, precision } = encoder
  const { shots, ema, adapt = { kind: 'none' } } = settings
  const few = shots && fewRows(all.train.labels!, all.train.classes.length, { shots, seed })
  const images = few ? { ...all, train: subsetOf(all.train, few) } : all
  const { classes } = images.train
  const isFixed = staysFixed(options)
  const average = { prefix: AVERAGE, from: '', when: 'after-step' } as const
  const task = classification({
    ...{ backbone: encoder.shape, only: encoder.only ?? null, device },
    ...{ classes: classes.length, head: settings.head, dropPath: settings.dropPath },
    ...{ adapt, fixed: isFixed },
    averages: ema === null ? [] : [{ ...average, momentum: ema, of: (name) => learned.has(name) }],
  })
  const learned = new Set(task.rows.filter(isLearned).map(({ name }) => name))
  const optimizer = adamw(ADAM)
  const before =
    work === undefined ? null : kept(work, seed, { rows: allRows(task), device, slots: optimizer.slots })
  const parameters = before?.parameters ?? startingParameters(task, options, seed)
  const trainee: Trainee<Labelled, null> = {
    ...{ objective: task, parameters, optimizer, seed, device, precision, clip: null },
    state: before?.optimizer ?? initialState(optimizer, learnedIn(task.rows, parameters)),
    groups: [layerDecayRow(settings.layerDecay, dimensions.depth), tokensKeepTheirSize],
    ...{ kernels: config.train.kernels, recompute: config.train.recompute, record: config.train.record },
  }
  const randAugment =
    settings.randAugment === null
      ? null
      : {
          magnitude: settings.randAugment,
          fill: encoder.statistics.mean.map((mean) => Math.round(255 * mean)),
        }
  const samples = images.train.files.length
  const batchSize = Math.min(settings.batchSize, samples - (samples % 2) || 1)
  const perStep = batchSize * settings.accumulate
  const totalSteps = Math.max(1, Math.round((settings.epochs * samples) / perStep))
  const warmup = (warmupOf(settings).epochs * samples) / perStep
  const learningRate = {
    kind: 'cosine',
    ...{ from: scaledLearningRate(settings.baseLearningRate, perStep), to: settings.minLearningRate },
    warmup: Math.min(
      totalSteps - 1,
      settings.warmupEpochs === null ? Math.floor(warmup) : Math.round(warmup),
    ),
  } as const
  const schedules = { learningRate, weightDecay: { kind: 'constant', value: settings.weightDecay } } as const
  /** The weights, or their averages. */
  const own = (prefix = ''): Parameters =>
    new Map(task.rows.map(({ name }) => [name, parameters.get(prefix + name) ?? parameters.get(name)!]))
  const counting = () => own(ema === null ? '' : AVERAGE)
  const learnedOf = (all: Parameters): Parameters => new Map([...all].filter(([name]) => learned.has(name)))
  const asClassifier = <T>(of: Parameters, body: (classifier: OpenedClassifier) => Promise<T>) =>
    withWhole(of, adapt, (parameters) =>
      body({ ...encoder, head: settings.head, classes, norm: heads[settings.head].norm, parameters }),
    )
  const scored = (source: ImageSource, of: Parameters) =>
    asClassifier(of, (classifier) => scoreOn(source, classifier, signal))

  let step = before?.step ?? 0
  let best: Best | null = before?.best ?? null
  const validated = [...(before?.validated ?? [])]
  const skipped = new Set(before?.skipped)
  const seconds = () => (before?.seconds ?? 0) + (performance.now() - begun) / 1000
  const epochsAfter = (steps: number) => Math.floor((steps * perStep) / samples + 1e-9)
  /** How often the validation images have been looked at by then: after each step that ends an epoch, and after the last one. */
  const looksBy = (steps: number) =>
    Math.min(steps, epochsAfter(steps)) +
    Number(steps === totalSteps && epochsAfter(steps) === epochsAfter(steps - 1))
  const validate = async () => {
    const { validation } = images
    if (!validation || validated.length === looksBy(step)) return
    const { top1 } = (await scored(validation.source, counting())).scores
    validated.push(top1)
    // Of equals the later one: its learning rate was lower.
    if (best === null || top1 >= best.validation)
      best = { epoch: validated.length, validation: top1, parameters: copied(learnedOf(counting())) }
    options.onValidated?.({ seed, epoch: validated.length, top1, isBest: best.epoch === validated.length })
  }
  let keptAt = performance.now()
  const keepNow = () => {
    if (work === undefined) return
    const state: AttemptState = { best, validated, skipped: [...skipped].sort(), seconds: seconds() }
    keep(work, seed, { parameters, optimizer: trainee.state, step, samples: step * perStep }, state)
    keptAt = performance.now()
  }

  const stopped = () =>
    interrupted({
      ...{ done: step, of: totalSteps, unit: `steps of seed ${seed}`, continues: work !== undefined },
    })
  /** Leaves the best weights in the place of those that count, but where it is interrupted. */
  const scoreBest = async (best: Best) => {
    const now = learnedOf(counting())
    const last = copied(now)
    restore(now, best.parameters)
    try {
      return await scored(images.test, counting())
    } catch (error) {
      restore(now, last)
      throw error
    }
  }

  const noise = noiseField(encoder.shape, seed, device)
  const free = () => {
    disposeAll([noise, parameters])
    disposeState(trainee.state)
  }
  try {
    await validate() // of an attempt that was interrupted in it
    const feed = await openFeed(cache, {
      loader: {
        ...loaderOptions(readingConfig(encoder), images.train, machine, { firstPosition: step * perStep }),
        ...{ photometric: null, randAugment, seed, batchSize },
      },
      views: { image: { kind: 'crop', count: 1, size: dimensions.imageSize } },
      ...{ statistics: statisticsOf(encoder), device, signal },
    })
    const loader = openLoader({ ...feed.loader, onSkip: ({ file }) => skipped.add(file) })
    const toView = (batch: Batch) => readView(encoder, () => feed.toViews(batch).image)
    try {
      const steps = train({
        ...{ trainee, loader, schedules, totalSteps, signal, samples },
        ...{ accumulate: settings.accumulate, firstStep: step },
        toDeviceBatch: (batch) =>
          labelledBatch(batch, { classes: classes.length, settings, seed, encoder, noise, toView }),
      })
      for await (const event of steps) {
        step = expectFinite(event).step
        options.onStep?.(expectFinite(event), seed, totalSteps)
        await validate()
        if (performance.now() - keptAt >= 1000 * keepEverySeconds && step < totalSteps) keepNow()
      }
    } finally {
      await loader.close()
      feed.close()
    }
    if (signal.aborted) throw stopped()
    const last = await scored(images.test, own())
    const averaged = ema === null ? null : await scored(images.test, own(AVERAGE))
    const ofBest = best === null ? null : await scoreBest(best)
    await asClassifier(counting(), async (trained) => onTrained(trained, learnedOf(counting())))
    return {
      ...{ last: last.scores, averaged: averaged?.scores ?? null, validated, trainImages: samples },
      best: ofBest && { epoch: (best as Best | null)!.epoch, scores: ofBest.scores },
      ...{ skipped: last.skipped + skipped.size, seconds: seconds() },
    }
  } catch (error) {
    // Between two steps, or two batches of scoring, which says how many images it has done.
    if (!(error instanceof SherdError) || error.code !== 'INTERRUPTED') throw error
    keepNow()
    throw stopped()
  } finally {
    free()
  }
}

/** Puts stored values into parameters. */
function restore(parameters: Parameters, stored: ReadonlyMap<string, StoredArray>): void {
  noGrad(() =>
    scope(() => {
      for (const [name, { data, shape, dtype }] of stored) {
        const own = parameters.get(name)!
        callInPlace('copy_', own, toDevice(fromArray(data, shape, dtype), own.device))
      }
    }),
  )
}
