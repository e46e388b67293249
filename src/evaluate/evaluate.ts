/** Evaluation on frozen features: opens images, extracts features, runs a protocol, selects settings on held-out images, reports. */
import { createHash } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { SherdError } from '../errors.ts'
import { openJournal } from '../files/batch-journal.ts'
import { makeFolder } from '../files/write-whole.ts'
import { featureOf } from '../model/features.ts'
import type { ImageSource } from '../source/open.ts'
import { expectVector, type FeatureName, type VectorFeature } from '../token/feature.ts'
import { type FolderFeatures, featuresOfSource, type Progress } from '../weights/folder-features.ts'
import type { BatchHead } from '../weights/gather-rows.ts'
import { type OpenedEncoder, openFor } from '../weights/open-encoder.ts'
import { competingFeatures } from '../weights/own-feature.ts'
import { type Spread, spreadOf } from './effective-rank.ts'
import { expectLabels, expectSameClasses, labelled, splitByClass } from './labelled-features.ts'
import type { LinearMap } from './linear-probe.ts'
import {
  type Outcome,
  type Protocol,
  type ProtocolName,
  type ProtocolSettings,
  protocols,
  type Split,
} from './protocols.ts'
import { chanceOf, type MeanAndDeviation, meanAndDeviation, type Scores, scoresOf } from './scores.ts'
import { edgeWarnings } from './sweep-edges.ts'

/** Two folders, or one that is split. */
export interface EvaluationData {
  readonly train: string
  /** Null: a fifth of each class of `train` is held out. */
  readonly test: string | null
  /** Images that choose the epoch of fine-tuning; by default there are none. */
  readonly validation?: string | null
}

const testNames = ['test', 'val', 'validation'] as const

/**
 * `dir/train` and `dir/test` (or `val`, `validation`) if they exist, else `dir` itself, to be split. Beside `test`, the folder `val` or
 * `validation` holds validation images.
 */
export function findSplit(dir: string): EvaluationData {
  const train = join(dir, 'train')
  if (!existsSync(train)) return { train: dir, test: null }
  const test = testNames.map((name) => join(dir, name)).find(existsSync)
  if (!test)
    throw new SherdError(
      'SOURCE',
      `${resolve(dir)} has a folder "train" but none to test with: expected one named ${testNames.join(', ')}.`,
    )
  const [validation = null] = testNames
    .map((name) => join(dir, name))
    .filter((path) => path !== test && existsSync(path))
  return { train, test, validation }
}

export interface EvaluateOptions {
  readonly protocol: ProtocolName
  readonly encoder: OpenedEncoder
  readonly data: EvaluationData
  readonly settings: Omit<ProtocolSettings, 'classes' | 'device'>
  readonly seeds: readonly number[]
  /** That compete; default: `competingFeatures`. */
  readonly features?: readonly FeatureName[] | undefined
  readonly onProgress?: Progress
  readonly signal?: AbortSignal | undefined
  /** A folder that keeps the features read so far: the same call continues from there. */
  readonly work?: string | undefined
}

/** The result of one setting of a protocol. */
export interface Row {
  readonly group: string
  readonly pooling: VectorFeature
  readonly setting: string
  readonly top1: MeanAndDeviation
  readonly top5: MeanAndDeviation | null
  /** Balanced accuracy. */
  readonly meanRecall: MeanAndDeviation
  readonly macroF1: MeanAndDeviation
  /** Top-1 on the held-out tenth of the training images; null if not measured. */
  readonly heldOut: number | null
}

export interface EvaluatedImages {
  readonly train: string
  readonly test: string
  readonly trainImages: number
  readonly testImages: number
  readonly skipped: number
  /** Of the images and their labels: equal ones mean that two reports are of the same images. */
  readonly fingerprints: { readonly train: string; readonly test: string }
}

export const reportFormat = 'sherd-evaluation/2'

export interface Report {
  readonly format: typeof reportFormat
  readonly protocol: string
  readonly title: string
  readonly model: OpenedEncoder['origin']
  readonly data: EvaluatedImages
  readonly classes: readonly string[]
  readonly settings: Readonly<Record<string, unknown>>
  readonly seeds: readonly number[]
  readonly rows: readonly Row[]
  /** Indices into `rows`, one for each group: the best on the held-out images where they were used. */
  readonly chosen: readonly number[]
  /** Of the last chosen row, first seed. */
  readonly scores: Scores
  /** Top-1 of always predicting the commonest class. */
  readonly chance: number
  /** The images that chose the epoch of fine-tuning, and top-1 on them after each epoch. */
  readonly validation?: {
    readonly images: number
    readonly of: string
    readonly isTest: boolean
    readonly attempts: readonly {
      readonly seed: number
      /** The best one; the first is 1. */
      readonly epoch: number
      readonly top1: readonly number[]
    }[]
  }
  /** What a reader should know before believing the result. */
  readonly warnings: readonly string[]
  readonly seconds: number
}

/**
 * Of some images of a source: their names, sizes in bytes and classes, in order. Where the folder lies and when it was copied does not
 * matter.
 */
export function fingerprintOf(source: ImageSource, indices: Iterable<number> = source.files.keys()): string {
  const { dir, files, labels, classes } = source
  const hash = createHash('sha256')
  if (source.kind === 'packed') hash.update(source.pack.content)
  const sizeOf = (file: string) =>
    source.kind === 'packed' ? '' : statSync(join(dir, file), { throwIfNoEntry: false })?.size
  for (const index of indices)
    hash.update(`${files[index]}\0${sizeOf(files[index]!) ?? ''}\0${labels ? classes[labels[index]!] : ''}\n`)
  return hash.digest('hex').slice(0, 16)
}

/** The mean and spread of attempts, for a row. */
export const rowScores = (
  attempts: readonly Scores[],
): Pick<Row, 'top1' | 'top5' | 'meanRecall' | 'macroF1'> => ({
  top1: meanAndDeviation(attempts.map(({ top1 }) => top1)),
  top5: attempts[0]!.top5 === null ? null : meanAndDeviation(attempts.map(({ top5 }) => top5!)),
  meanRecall: meanAndDeviation(attempts.map(({ meanRecall }) => meanRecall)),
  macroF1: meanAndDeviation(attempts.map(({ macroF1 }) => macroF1)),
})

/** The split of a folder without test images: the same for every model and seed. */
export const partImages = { share: 0.2, seed: 0 } as const
/** The report of a protocol on frozen features. */
export interface FeatureReport extends Report {
  /** Of the features of the training images. */
  readonly spread: Readonly<Record<string, Spread>>
}

const HELD_OUT_SHARE = 0.1

/** Features of training and test images, for any protocol. */
export interface OpenedImages {
  readonly encoder: OpenedEncoder
  readonly data: EvaluationData
  readonly train: FolderFeatures
  readonly test: FolderFeatures
  readonly trainRows: number[]
  readonly testRows: number[]
}

const labelsOfRows = ({ features, source }: FolderFeatures) =>
  Int32Array.from(features.indices, (index) => source.labels![index]!)

const labelsAt = ({ features, source }: FolderFeatures, rows: readonly number[]) =>
  Int32Array.from(rows, (row) => source.labels![features.indices[row]!]!)

const indicesOf = ({ features }: FolderFeatures, rows: readonly number[]) =>
  rows.map((row) => features.indices[row]!)

/** The place of each row of a raster folder; null for images. */
const placesOfRows = ({ features, source }: FolderFeatures): readonly string[] | null =>
  'places' in source ? Array.from(features.indices, (index) => source.places[index]!) : null

/** Checks the labels, then extracts the features. Throws `SOURCE` for images without usable labels, `INTERRUPTED` when the signal is aborted. */
export async function openImages({
  encoder,
  data,
  work,
  features = competingFeatures(encoder),
  ...watching
}: Pick<
  EvaluateOptions,
  'encoder' | 'data' | 'features' | 'onProgress' | 'signal' | 'work'
>): Promise<OpenedImages> {
  for (const name of features) featureOf(encoder, expectVector(name, 'Classification'))
  const sources = [
    await openFor(encoder, data.train),
    ...(data.test ? [await openFor(encoder, data.test)] : []),
  ]
  for (const source of sources) expectLabels(source) // before minutes are spent on features
  if (sources[1]) expectSameClasses(sources[0]!, sources[1])
  const featuresOf = async (source: ImageSource, name: string) => {
    if (work !== undefined) makeFolder(work)
    const journal = work === undefined ? undefined : openJournal<BatchHead>(join(work, name))
    try {
      return await featuresOfSource(encoder, source, { ...watching, features, journal })
    } finally {
      journal?.close()
    }
  }
  const train = await featuresOf(sources[0]!, 'train')
  const all = ({ features }: FolderFeatures) => [...features.indices.keys()]
  if (data.test) {
    const test = await featuresOf(sources[1]!, 'test')
    return { encoder, data, train, test, trainRows: all(train), testRows: all(test) }
  }
  const [trainRows, testRows] = splitByClass(labelsOfRows(train), train.source.classes, {
    ...partImages,
    places: placesOfRows(train),
  })
  return { encoder, data, train, test: train, trainRows, testRows }
}

function splitOf(
  [train, trainRows]: readonly [FolderFeatures, readonly number[]],
  [test, testRows]: readonly [FolderFeatures, readonly number[]],
): Split {
  const pick = ({ features, source }: FolderFeatures, pooling: VectorFeature, rows: readonly number[]) =>
    labelled(features, pooling, source.labels!, rows)
  const names = [...train.features.of.keys()] as VectorFeature[] // `openImages` asks for no other
  return new Map(
    names.map((pooling) => [
      pooling,
      { train: pick(train, pooling, trainRows), test: pick(test, pooling, testRows) },
    ]),
  )
}

/** Scores each setting on held-out training images, so that settings are not selected on the test images. */
function tryOut(
  protocol: Protocol,
  { train, trainRows }: OpenedImages,
  settings: ProtocolSettings,
  seed: number,
): Map<string, number> {
  const { source } = train
  const labels = labelsOfRows(train)
  const places = placesOfRows(train)
  const [fit, held] = splitByClass(
    Int32Array.from(trainRows, (row) => labels[row]!),
    source.classes,
    { share: HELD_OUT_SHARE, seed: partImages.seed, places: places && trainRows.map((row) => places[row]!) },
  ).map((places) => places.map((place) => trainRows[place]!)) as [number[], number[]]
  const split = splitOf([train, fit], [train, held])
  const feasible = settings.neighbours.filter((k) => k <= fit.length)
  const neighbours = feasible.length > 0 ? feasible : [fit.length]
  const outcomes = protocol.run(split, { ...settings, neighbours }, seed)
  return new Map(
    outcomes.map((outcome) => [
      keyOf(outcome),
      scoresOf(outcome.values, split.get(outcome.pooling)!.test.labels, source.classes).top1,
    ]),
  )
}

const keyOf = ({ group, pooling, setting }: Pick<Outcome, 'group' | 'pooling' | 'setting'>) =>
  [group, pooling, setting].join('/')

/** Throws `SOURCE` for images without usable labels, `VALUE` for settings that do not fit them. */
export async function evaluate(options: EvaluateOptions): Promise<FeatureReport> {
  const started = performance.now()
  const report = judge(await openImages(options), options)
  return { ...report, seconds: (performance.now() - started) / 1000 }
}

export type JudgeOptions = Pick<EvaluateOptions, 'protocol' | 'settings' | 'seeds'>

/** The selected linear map, and the pooling it reads. */
export interface ChosenMap extends LinearMap {
  readonly pooling: VectorFeature
}

/** Runs one protocol on extracted features. Throws `VALUE` for settings that do not fit the images. */
export const judge = (images: OpenedImages, options: JudgeOptions): FeatureReport =>
  judgeWithMap(images, options).report

/** Also returns the linear map behind `scores`, if the protocol trains one. */
export function judgeWithMap(
  images: OpenedImages,
  options: JudgeOptions,
): { report: FeatureReport; map: ChosenMap | null } {
  const started = performance.now()
  const { seeds } = options
  const protocol: Protocol = protocols[options.protocol]
  const { encoder, data, train, test, trainRows, testRows } = images
  const { classes } = train.source
  const uses: readonly string[] = protocol.uses
  const settings: ProtocolSettings = { ...options.settings, classes: classes.length, device: encoder.device }
  const split = splitOf([train, trainRows], [test, testRows])
  const used = protocol.isRandom ? seeds : seeds.slice(0, 1)
  const bySeed = used.map((seed) =>
    protocol.run(split, settings, seed).map(({ values, map, ...way }) => ({
      ...{ ...way, map: map ?? null },
      scores: scoresOf(values, split.get(way.pooling)!.test.labels, classes),
    })),
  )
  const heldOut = tryOut(protocol, images, settings, used[0]!)
  const rows = bySeed[0]!.map((way, i): Row => {
    const all = bySeed.map((outcomes) => outcomes[i]!.scores)
    return {
      group: way.group,
      pooling: way.pooling,
      setting: way.setting,
      ...rowScores(all),
      heldOut: heldOut.get(keyOf(way)) ?? null,
    }
  })
  const best = new Map<string, number>()
  for (const [i, { group, heldOut }] of rows.entries()) {
    const before = best.get(group)
    if (before === undefined || (heldOut ?? -1) > (rows[before]!.heldOut ?? -1)) best.set(group, i)
  }
  const chosen = [...best.values()]
  const counting = bySeed[0]![chosen.at(-1)!]!
  const report: FeatureReport = {
    format: reportFormat,
    protocol: options.protocol,
    title: protocol.title,
    model: encoder.origin,
    data: {
      train: train.source.dir,
      test: data.test ? test.source.dir : `a fifth of each class of ${train.source.dir}`,
      trainImages: trainRows.length,
      testImages: testRows.length,
      skipped: train.skipped.length + (data.test ? test.skipped.length : 0),
      fingerprints: {
        train: fingerprintOf(train.source, indicesOf(train, trainRows)),
        test: fingerprintOf(test.source, indicesOf(test, testRows)),
      },
    },
    classes,
    settings: Object.fromEntries(Object.entries(options.settings).filter(([key]) => uses.includes(key))),
    seeds: used,
    rows,
    chosen,
    scores: counting.scores,
    chance: chanceOf(labelsAt(train, trainRows), labelsAt(test, testRows), classes.length),
    warnings: edgeWarnings(
      rows.map((row, i) => ({ ...row, swept: bySeed[0]![i]!.swept })),
      chosen,
      trainRows.length,
    ),
    spread: Object.fromEntries(
      [...split].map(([pooling, { train }]) => [pooling, spreadOf(train.vectors, train.width)]),
    ),
    seconds: (performance.now() - started) / 1000,
  }
  return { report, map: counting.map && { ...counting.map, pooling: counting.pooling } }
}
