/**
 * Fine-tuning of an encoder with a classification head (He et al. 2021, A.1): from pretrained weights, in its last blocks only, or
 * from scratch with the same schedule as a baseline. The result is that of the last epoch, or of the best one on validation images: nothing is
 * selected on the test images.
 */

import { basename } from 'node:path'
import { openWeightsFile } from '../checkpoint/weights-file.ts'
import { inferenceOptions } from '../config/assemble.ts'
import { readingConfig } from '../config/reading.ts'
import { atOneSize } from '../config/resolve.ts'
import { SherdError } from '../errors.ts'
import { choosePrecision, precisionNames } from '../machine/plan.ts'
import { heads } from '../model/classifier.ts'
import type { Parameters } from '../model/parameters.ts'
import { held } from '../prepare/cache/feed.ts'
import type { ImageSource } from '../source/open.ts'
import { subsetOf } from '../source/subset.ts'
import { adapterFiles } from '../weights/adapter-folder.ts'
import { preparationText } from '../weights/how-taken.ts'
import { type OpenedClassifier, saveClassifier } from '../weights/open-classifier.ts'
import { type OpenedEncoder, openFor } from '../weights/open-encoder.ts'
import { expectAdapts, saveAdapter } from '../weights/save-adapter.ts'
import { type Report, type Row, reportFormat, rowScores } from './evaluate.ts'
import { type EvaluationData, fingerprintOf, partImages } from './evaluation-data.ts'
import { attempt } from './finetune-attempt.ts'
import {
  type FinetuneOptions,
  headFor,
  type Images,
  type OpenedValidation,
  type Validation,
  warmupOf,
} from './finetune-settings.ts'
import { type Attempt, countingScores, doneAttempt, keepDone } from './finetune-work.ts'
import { expectLabels, expectSameClasses, splitByClass } from './labelled-features.ts'
import { chanceOf, type Scores } from './scores.ts'

/** Both parts of a source: what stays, and what is held out of each class. */
function parted(source: ImageSource, share: number): [ImageSource, ImageSource] {
  const { labels, classes } = expectLabels(source)
  const places = 'places' in source ? source.places : null
  const [stays, held] = splitByClass(labels, classes, { share, seed: partImages.seed, places })
  return [subsetOf(source, stays), subsetOf(source, held)]
}

async function openAll(
  encoder: OpenedEncoder,
  { train: dir, test: testDir, validation: besides = null }: EvaluationData,
  validation: Validation | null = besides === null ? null : { dir: besides },
): Promise<Images> {
  const whole = await openFor(encoder, dir)
  expectLabels(whole)
  const openLike = async (like: string) => {
    const source = await openFor(encoder, like)
    expectLabels(source)
    expectSameClasses(whole, source)
    return source
  }
  const [learned, test] = testDir ? [whole, await openLike(testDir)] : parted(whole, partImages.share)
  if (validation === null) return { train: learned, test, validation: null }
  if ('dir' in validation) {
    const source = await openLike(validation.dir)
    const isTest = fingerprintOf(source) === fingerprintOf(test)
    if (fingerprintOf(source) === fingerprintOf(learned))
      throw new SherdError(
        'VALUE',
        `${source.dir} holds the training images, which say nothing of others: give a folder of its own, or hold some out (--validation 10%).`,
      )
    return { train: learned, test, validation: { source, name: source.dir, isTest } }
  }
  const [train, source] = parted(learned, validation.share)
  const name = `${Number((100 * validation.share).toPrecision(6))} % of the training images, held out`
  return { train, test, validation: { source, name, isTest: false } }
}

const titles = {
  scratch: 'the whole network from random weights, with the schedule of fine-tuning',
  partial: 'the last blocks and a head learn, the others stay as they were pretrained',
  finetune: 'the whole encoder and a head learn from the pretrained weights',
} as const

/** The encoder in the precision and with the image size of training, which are also those of scoring. */
function asTrained({ encoder, precision: asked }: FinetuneOptions): OpenedEncoder {
  const precision = choosePrecision(asked ?? encoder.config.train.precision, encoder.device)
  const origin = { ...encoder.origin, precision: precisionNames[precision] }
  return { ...encoder, config: atOneSize(encoder.config), precision, origin }
}

/** Throws as `evaluate`, `VALUE` for settings that do not fit, and `INTERRUPTED`. */
export async function finetune(given: FinetuneOptions): Promise<Report> {
  const own = { ...given.settings, head: headFor(given.encoder, given.settings) }
  const options = { ...given, settings: own, encoder: asTrained(given) }
  const { encoder, settings, seeds, data, fromScratch, work } = options
  const { depth } = encoder.dimensions
  if (settings.blocks !== null && !(settings.blocks >= 0 && settings.blocks <= depth))
    throw new SherdError('VALUE', `Expected 0 to ${depth} blocks to learn, got ${settings.blocks}.`)
  if (encoder.config !== given.encoder.config)
    options.onNote?.(
      `images do not keep their shape here: crops of ${encoder.dimensions.imageSize.join(' × ')} pixels are learned from, and whole images squashed to it are scored`,
    )
  const warmup = warmupOf(settings)
  if (warmup.note !== null) options.onNote?.(warmup.note)
  const { adapt } = settings
  if (options.save !== undefined && basename(options.save) === adapterFiles.weights)
    expectAdapts(options.save, encoder, adapt)
  if (fromScratch && adapt)
    throw new SherdError(
      'USAGE',
      'Adapters are of an encoder that has learned something: nothing is adapted from scratch.',
    )
  const file = options.save === undefined ? null : openWeightsFile(options.save)
  const images = await openAll(encoder, data, options.validation)
  const { cache = 'none' } = options
  if (cache === 'device' && settings.randAugment !== null)
    throw new SherdError(
      'USAGE',
      'RandAugment changes bytes in memory, and with the cache on the device there are none: take the cache in memory (--cache memory), or no RandAugment (--rand-augment 0).',
    )
  const scored = cache === 'none' ? images : await inMemory(images, options)
  const protocol = fromScratch ? 'scratch' : settings.blocks === null ? 'finetune' : 'partial'
  const save = (trained: OpenedClassifier, learned: Parameters) => {
    if (file === null) return
    const { head, classes } = trained
    if (basename(file) === adapterFiles.weights)
      saveAdapter(file, encoder, {
        ...{ learned, protocol, classifier: { head, classes: [...classes] } },
        adapt: adapt!,
      })
    else saveClassifier(file, encoder, { ...trained, protocol, step: null })
  }
  const attempts: Attempt[] = []
  for (const [i, seed] of seeds.entries()) {
    const done = work === undefined ? null : doneAttempt(work, seed)
    const made = done ?? (await attempt(scored, options, { seed, onTrained: i === 0 ? save : () => {} }))
    if (work !== undefined && !done) keepDone(work, seed, made)
    attempts.push(made)
  }
  return reportOf(attempts, { protocol, images, options, warmupEpochs: warmup.epochs })
}

/** What is scored, again and again, in memory; of what is learned from an attempt takes its part first. */
async function inMemory(images: Images, { encoder, signal }: FinetuneOptions): Promise<Images> {
  const { test, validation } = images
  const inMemory = (source: ImageSource) =>
    held(inferenceOptions(readingConfig(encoder), source, encoder.machine), signal)
  return {
    ...{ ...images, test: await inMemory(test) },
    validation: validation && { ...validation, source: await inMemory(validation.source) },
  }
}

const meanOf = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length

interface Reported {
  readonly protocol: keyof typeof titles
  readonly images: Images
  readonly options: FinetuneOptions
  readonly warmupEpochs: number
}

function reportOf(
  attempts: readonly Attempt[],
  { protocol, images, options, warmupEpochs }: Reported,
): Report {
  const { encoder, data, settings, seeds } = options
  const { validation } = images
  const { feature: pooling } = heads[settings.head]
  const row = (setting: string, scores: readonly Scores[], heldOut: number | null): Row => ({
    ...{ group: '', pooling, setting, heldOut, ...rowScores(scores) },
  })
  const averaged = attempts.flatMap((each) => each.averaged ?? [])
  const best = attempts.flatMap((each) => each.best ?? [])
  const validated = attempts.map((each) => each.validated)
  // What is looked at after each epoch is the averaged weights, where there are.
  const atEnd = validation && meanOf(validated.map((values) => values.at(-1)!))
  const scored = attempts.map(({ last }) => last)
  const rows = [
    row('last weights', scored, averaged.length > 0 ? null : atEnd),
    ...(averaged.length > 0 ? [row('averaged weights', averaged, atEnd)] : []),
    ...(validation
      ? [
          row(
            averaged.length > 0 ? 'best epoch, averaged weights' : 'best epoch',
            best.map(({ scores }) => scores),
            meanOf(best.map(({ epoch }, i) => validated[i]![epoch - 1]!)),
          ),
        ]
      : []),
  ]
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
    reads: {
      ...{ feature: pooling, convention: null, imageSize: encoder.dimensions.imageSize },
      preparation: preparationText(encoder),
    },
    settings: { ...settings, warmupEpochs },
    ...{ seeds, rows, chosen: [...rows.keys()] },
    ...(validation && {
      validation: {
        ...{ images: validation.source.files.length, of: validation.name, isTest: validation.isTest },
        attempts: attempts.map((each, i) => ({
          ...{ seed: seeds[i]!, epoch: each.best!.epoch, top1: each.validated },
        })),
      },
    }),
    scores: countingScores(attempts[0]!),
    chance: chanceOf(images.train.labels!, images.test.labels!, images.train.classes.length),
    warnings: validation ? validationWarnings(validation, attempts) : [],
    seconds: attempts.reduce((sum, { seconds }) => sum + seconds, 0),
  }
}

function validationWarnings({ isTest }: OpenedValidation, attempts: readonly Attempt[]): string[] {
  return [
    ...(isTest
      ? [
          'the epoch was chosen on the test images themselves, so the result is too good to be true of other images: count the last weights, or choose on others (--validation 10%)',
        ]
      : []),
    ...(attempts.every(({ best, validated }) => best!.epoch === validated.length && validated.length > 1)
      ? ['the last epoch was the best with every seed, so more of them may be better (--epochs)']
      : []),
  ]
}
