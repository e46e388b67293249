/**
 * Fine-tuning of an encoder with a classification head (He et al. 2021, A.1): from pretrained weights, in its last blocks only, or
 * from scratch with the same schedule as a baseline. The result is that of the last step: nothing is selected on the test images.
 */

import { openWeightsFile } from '../checkpoint/weights-file.ts'
import { loaderOptions } from '../config/assemble.ts'
import { readingConfig } from '../config/reading.ts'
import { SherdError } from '../errors.ts'
import { choosePrecision, type PrecisionName, precisionNames } from '../machine/plan.ts'
import { groupsOf } from '../model/backbone-shape.ts'
import { type Head, heads } from '../model/classifier.ts'
import { initialParameters, learnedIn, type Parameters } from '../model/parameters.ts'
import { allRows } from '../objective/averages.ts'
import { type Classification, classification, type Labelled } from '../objective/classification.ts'
import { adamw } from '../optim/adamw.ts'
import { layerDecayRow, layerOf } from '../optim/layer-decay.ts'
import { disposeState, initialState } from '../optim/optimizer.ts'
import { scaledLearningRate } from '../optim/schedule.ts'
import { randAugmentDefaults } from '../prepare/augment/rand-augment.ts'
import { openLoader } from '../prepare/loader/loader.ts'
import type { ImageSource } from '../source/open.ts'
import { subsetOf } from '../source/subset.ts'
import { callInPlace } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import { disposeAll } from '../tensor/scope.ts'
import type { StepEvent } from '../train/events.ts'
import { expectFinite, train } from '../train/loop.ts'
import type { Trainee } from '../train/trainee.ts'
import { logitsOfSource, type OpenedClassifier, saveClassifier } from '../weights/open-classifier.ts'
import { type OpenedEncoder, openFor } from '../weights/open-encoder.ts'
import {
  type EvaluationData,
  fingerprintOf,
  partImages,
  type Report,
  type Row,
  reportFormat,
  rowScores,
} from './evaluate.ts'
import { type AugmentSettings, labelledBatch, noiseField } from './labelled-batch.ts'
import { expectLabels, expectSameClasses, fewRows, type Shots, splitByClass } from './labelled-features.ts'
import { type Scores, scoresOf } from './scores.ts'

export interface FinetuneSettings extends AugmentSettings {
  readonly epochs: number
  readonly batchSize: number
  /** Micro-batches per step. */
  readonly accumulate: number
  /** Per 256 images of a step. */
  readonly baseLearningRate: number
  readonly minLearningRate: number
  /** Null: 5, or a quarter of the epochs if that is less. */
  readonly warmupEpochs: number | null
  readonly weightDecay: number
  readonly layerDecay: number
  readonly dropPath: number
  /** Not `plain-cls`, which would leave the final norm untrained. */
  readonly head: Exclude<Head, 'plain-cls'>
  /** Decay of an EMA of the weights, which is scored too; null for none. */
  readonly ema: number | null
  /** Train on this many images per class, redrawn for each seed; null for all. */
  readonly shots: Shots | null
  /** Number of last blocks that are trained with the head; null for the whole encoder. */
  readonly blocks: number | null
}

const WARM_UP = { epochs: 5, share: 1 / 4 } // of epochs, at most

/** He et al. 2021, table 9, for ViT-Base; 5 of 100 epochs warm up. */
export const finetuneDefaults: FinetuneSettings = {
  ...{
    epochs: 100,
    batchSize: 128,
    accumulate: 1,
    baseLearningRate: 5e-4,
    minLearningRate: 1e-6,
    warmupEpochs: null,
  },
  ...{ weightDecay: 0.05, layerDecay: 0.65, dropPath: 0.1, mixup: 0.8, cutmix: 1, smoothing: 0.1 },
  ...{ randAugment: randAugmentDefaults.magnitude, erasing: 0.25 },
  ...{ head: 'mean', ema: null, shots: null, blocks: null },
}

export interface FinetuneOptions {
  readonly encoder: OpenedEncoder
  readonly data: EvaluationData
  readonly settings: FinetuneSettings
  readonly seeds: readonly number[]
  /** By default the configuration's `train.precision`, whatever the encoder was opened in. */
  readonly precision?: PrecisionName | undefined
  /** Start from random weights. */
  readonly fromScratch: boolean
  /**
   * Where to save the classifier of the first seed, to which the report's scores and confusion matrix belong, as soon as it is trained;
   * with averaged weights if `ema` is set. Not the best seed: nothing is selected on the test images.
   */
  readonly save?: string
  /** Called with settings that were adapted to the run. */
  readonly onNote?: (note: string) => void
  readonly onStep?: (event: StepEvent, seed: number, totalSteps: number) => void
  readonly signal: AbortSignal
}

const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }

interface Images {
  readonly train: ImageSource
  readonly test: ImageSource
}

async function openBoth(encoder: OpenedEncoder, { train, test }: EvaluationData): Promise<Images> {
  const source = await openFor(encoder, train)
  const { labels, classes } = expectLabels(source)
  if (test) {
    const other = await openFor(encoder, test)
    expectLabels(other)
    expectSameClasses(source, other)
    return { train: source, test: other }
  }
  const [kept, held] = splitByClass(labels, classes, {
    ...partImages,
    places: 'places' in source ? source.places : null,
  })
  return { train: subsetOf(source, kept), test: subsetOf(source, held) }
}

/** Parameters that are not trained: blocks below the trained ones, and embeddings of bands that the images lack. */
function staysFixed({ encoder, settings }: FinetuneOptions): (name: string) => boolean {
  const { depth } = encoder.dimensions
  const lowest = settings.blocks === null ? 0 : depth - settings.blocks + 1 // the lowest trained layer
  const unseen = groupsOf(encoder.shape).flatMap(({ embed }, g) =>
    encoder.only?.includes(g) === false ? [`${embed}.`] : [],
  )
  return (name) => layerOf(name, depth) < lowest || unseen.some((prefix) => name.startsWith(prefix))
}

const AVERAGE = 'average.' // prefix of the averaged weights

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

async function scoreOn(
  source: ImageSource,
  classifier: OpenedClassifier,
): Promise<{ scores: Scores; skipped: number }> {
  const { logits, indices, skipped, classes } = await logitsOfSource(classifier, source)
  const labels = Int32Array.from(indices, (index) => source.labels![index]!)
  return { scores: scoresOf(logits, labels, classes), skipped: skipped.length }
}

interface Attempt {
  readonly last: Scores
  readonly averaged: Scores | null
  readonly skipped: number
  readonly trainImages: number
}

/** `onTrained` is called with the final classifier before its weights are freed. */
async function attempt(
  all: Images,
  options: FinetuneOptions,
  { seed, onTrained }: { seed: number; onTrained: (trained: OpenedClassifier) => void },
): Promise<Attempt> {
  const { encoder, settings, signal } = options
  const { config, machine, dimensions, device, precision } = encoder
  const { shots } = options.settings
  const few = shots && fewRows(all.train.labels!, all.train.classes.length, { shots, seed })
  const images = few ? { ...all, train: subsetOf(all.train, few) } : all
  const { classes } = images.train
  const { ema } = settings
  const isFixed = staysFixed(options)
  const average = { prefix: AVERAGE, from: '', when: 'after-step' } as const
  const task = classification({
    ...{ backbone: encoder.shape, only: encoder.only ?? null, device },
    ...{ classes: classes.length, head: settings.head, dropPath: settings.dropPath },
    fixed: isFixed,
    averages: ema === null ? [] : [{ ...average, momentum: ema, of: (name) => !isFixed(name) }],
  })
  const parameters = startingParameters(task, options, seed)
  const optimizer = adamw(ADAM)
  const trainee: Trainee<Labelled, null> = {
    ...{ objective: task, parameters, optimizer, seed, device, precision, clip: null },
    state: initialState(optimizer, learnedIn(task.rows, parameters)),
    groups: [layerDecayRow(settings.layerDecay, dimensions.depth)],
    ...{ kernels: config.train.kernels, recompute: config.train.recompute },
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
  const reading = readingConfig(encoder)
  const noise = noiseField(encoder.shape, seed, device)
  const loader = openLoader({
    ...loaderOptions(reading, images.train, machine),
    ...{ photometric: null, seed, batchSize },
  })
  try {
    const steps = train({
      ...{ trainee, loader, schedules, totalSteps, signal, samples },
      ...{ accumulate: settings.accumulate, firstStep: 0 },
      toDeviceBatch: (batch) =>
        labelledBatch(batch, { classes: classes.length, settings, seed, encoder, noise }),
    })
    for await (const event of steps) options.onStep?.(expectFinite(event), seed, totalSteps)
  } finally {
    await loader.close()
  }
  if (signal.aborted) throw new SherdError('RUN', 'Fine-tuning was interrupted, and has no result.')
  /** The classifier of the weights, or of the averages under `prefix`. */
  const whole = (prefix = ''): OpenedClassifier => ({
    ...{ ...encoder, head: settings.head, classes, norm: heads[settings.head].norm },
    parameters: new Map(
      task.rows.map(({ name }) => [name, parameters.get(prefix + name) ?? parameters.get(name)!]),
    ),
  })
  const last = await scoreOn(images.test, whole())
  const averaged = ema === null ? null : await scoreOn(images.test, whole(AVERAGE))
  onTrained(whole(ema === null ? '' : AVERAGE))
  disposeAll([noise, parameters])
  disposeState(trainee.state)
  return {
    last: last.scores,
    trainImages: samples,
    averaged: averaged?.scores ?? null,
    skipped: last.skipped + loader.skipped.length,
  }
}

const titles = {
  scratch: 'the whole network from random weights, with the schedule of fine-tuning',
  partial: 'the last blocks and a head learn, the others stay as they were pretrained',
  finetune: 'the whole encoder and a head learn from the pretrained weights',
} as const

/** Throws `VALUE` for a warm-up as long as the run. */
function warmupOf({ epochs, warmupEpochs }: FinetuneSettings): { epochs: number; note: string | null } {
  if (warmupEpochs !== null && warmupEpochs >= epochs)
    throw new SherdError(
      'VALUE',
      `A warm-up of ${warmupEpochs} epochs covers all ${epochs} of them: give less with --warm-up, or more with --epochs.`,
    )
  const most = epochs * WARM_UP.share
  if (warmupEpochs !== null || WARM_UP.epochs <= most)
    return { epochs: warmupEpochs ?? WARM_UP.epochs, note: null }
  return {
    epochs: most,
    note: `the warm-up is ${most} epochs: the usual ${WARM_UP.epochs} are more than a quarter of ${epochs} (--warm-up says another)`,
  }
}

/** The encoder in the precision of training, which is also that of scoring. */
function inTrainingPrecision({ encoder, precision: asked }: FinetuneOptions): OpenedEncoder {
  const precision = choosePrecision(asked ?? encoder.config.train.precision, encoder.device)
  return { ...encoder, precision, origin: { ...encoder.origin, precision: precisionNames[precision] } }
}

/** Throws as `evaluate`, and `VALUE` for settings that do not fit. */
export async function finetune(given: FinetuneOptions): Promise<Report> {
  const started = performance.now()
  const options = { ...given, encoder: inTrainingPrecision(given) }
  const { encoder, settings, seeds, data, fromScratch } = options
  const { depth } = encoder.dimensions
  if (settings.blocks !== null && !(settings.blocks >= 0 && settings.blocks <= depth))
    throw new SherdError('VALUE', `Expected 0 to ${depth} blocks to learn, got ${settings.blocks}.`)
  const warmup = warmupOf(settings)
  if (warmup.note !== null) options.onNote?.(warmup.note)
  const file = options.save === undefined ? null : openWeightsFile(options.save)
  const images = await openBoth(encoder, data)
  const protocol = fromScratch ? 'scratch' : settings.blocks === null ? 'finetune' : 'partial'
  const save = (trained: OpenedClassifier) => {
    if (file !== null) saveClassifier(file, encoder, { ...trained, protocol, step: null })
  }
  const attempts: Attempt[] = []
  for (const [i, seed] of seeds.entries())
    attempts.push(await attempt(images, options, { seed, onTrained: i === 0 ? save : () => {} }))
  const row = (setting: string, scores: readonly Scores[]): Row => ({
    ...{ group: '', pooling: heads[settings.head].pooling, setting, heldOut: null },
    ...rowScores(scores),
  })
  const averaged = attempts.flatMap((each) => each.averaged ?? [])
  const rows = [
    row(
      'last weights',
      attempts.map(({ last }) => last),
    ),
    ...(averaged.length > 0 ? [row('averaged weights', averaged)] : []),
  ]
  const labels = images.test.labels!
  const counts = images.train.classes.map(
    (_, label) => images.train.labels!.filter((each) => each === label).length,
  )
  const commonest = counts.indexOf(Math.max(...counts))
  return {
    format: reportFormat,
    ...{ protocol, title: titles[protocol], model: encoder.origin, classes: images.train.classes },
    data: {
      train: images.train.dir,
      test: data.test ? images.test.dir : `a fifth of each class of ${images.train.dir}`,
      trainImages: attempts[0]!.trainImages,
      testImages: attempts[0]!.last.images,
      skipped: attempts[0]!.skipped,
      fingerprints: { train: fingerprintOf(images.train), test: fingerprintOf(images.test) },
    },
    settings: { ...settings, warmupEpochs: warmup.epochs },
    ...{ seeds, rows, chosen: [...rows.keys()] },
    scores: (averaged[0] ?? attempts[0]!.last) as Scores,
    chance: labels.filter((label) => label === commonest).length / labels.length,
    warnings: [],
    seconds: (performance.now() - started) / 1000,
  }
}
