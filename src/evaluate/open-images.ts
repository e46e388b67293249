/** Features of labelled images for any protocol: opened, checked, extracted, parted. */
import { withJournal } from '../files/batch-journal.ts'
import { featureOf } from '../model/features.ts'
import type { ImageSource } from '../source/open.ts'
import { expectVector, type FeatureName, type VectorFeature } from '../token/feature.ts'
import { type FolderFeatures, featuresOfSource, type Progress } from '../weights/folder-features.ts'
import type { BatchHead } from '../weights/gather-rows.ts'
import { type OpenedEncoder, openFor } from '../weights/open-encoder.ts'
import { competingFeatures } from '../weights/own-feature.ts'
import { type EvaluatedImages, type EvaluationData, fingerprintOf, partImages } from './evaluation-data.ts'
import { expectLabels, expectSameClasses, labelled, splitByClass } from './labelled-features.ts'
import type { Split } from './protocols.ts'

/** Features of training and test images. */
export interface OpenedImages {
  readonly encoder: OpenedEncoder
  readonly data: EvaluationData
  readonly train: FolderFeatures
  readonly test: FolderFeatures
  readonly trainRows: number[]
  readonly testRows: number[]
  /** Spent on the features, in earlier attempts, too. */
  readonly seconds: number
}

export interface OpenImagesOptions {
  readonly encoder: OpenedEncoder
  readonly data: EvaluationData
  /** That compete; default: `competingFeatures`. */
  readonly features?: readonly FeatureName[] | undefined
  readonly onProgress?: Progress
  readonly signal?: AbortSignal | undefined
  /** A folder that keeps what is done: the same call continues from there. */
  readonly work?: string | undefined
}

const labelsOfRows = ({ features, source }: FolderFeatures) =>
  Int32Array.from(features.indices, (index) => source.labels![index]!)

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
}: OpenImagesOptions): Promise<OpenedImages> {
  for (const name of features) featureOf(encoder, expectVector(name, 'Classification'))
  const sources = [
    await openFor(encoder, data.train),
    ...(data.test ? [await openFor(encoder, data.test)] : []),
  ]
  for (const source of sources) expectLabels(source) // before minutes are spent on features
  if (sources[1]) expectSameClasses(sources[0]!, sources[1])
  const featuresOf = (source: ImageSource, name: string) =>
    withJournal<BatchHead, FolderFeatures>(work, name, (journal) =>
      featuresOfSource(encoder, source, { ...watching, features, journal }),
    )
  const train = await featuresOf(sources[0]!, 'train')
  const all = ({ features }: FolderFeatures) => [...features.indices.keys()]
  if (data.test) {
    const test = await featuresOf(sources[1]!, 'test')
    const seconds = train.seconds + test.seconds
    return { encoder, data, train, test, trainRows: all(train), testRows: all(test), seconds }
  }
  const [trainRows, testRows] = splitByClass(labelsOfRows(train), train.source.classes, {
    ...partImages,
    places: placesOfRows(train),
  })
  return { encoder, data, train, test: train, trainRows, testRows, seconds: train.seconds }
}

function splitOf(
  [train, trainRows]: readonly [FolderFeatures, readonly number[]],
  [test, testRows]: readonly [FolderFeatures, readonly number[]],
): Split {
  const pick = ({ features, source }: FolderFeatures, name: VectorFeature, rows: readonly number[]) =>
    labelled(features, name, source.labels!, rows)
  const names = [...train.features.of.keys()] as VectorFeature[] // `openImages` asks for no other
  return new Map(
    names.map((name) => [name, { train: pick(train, name, trainRows), test: pick(test, name, testRows) }]),
  )
}

/** To learn from the training images, and to score on the test images. */
export const testSplit = ({ train, trainRows, test, testRows }: OpenedImages): Split =>
  splitOf([train, trainRows], [test, testRows])

const HELD_OUT_SHARE = 0.1

/** A tenth of the training images is held out, so that settings are not selected on the test images. */
export function heldOutSplit({ train, trainRows }: OpenedImages): Split {
  const labels = labelsOfRows(train)
  const places = placesOfRows(train)
  const [fit, held] = splitByClass(
    Int32Array.from(trainRows, (row) => labels[row]!),
    train.source.classes,
    { share: HELD_OUT_SHARE, seed: partImages.seed, places: places && trainRows.map((row) => places[row]!) },
  ).map((parts) => parts.map((place) => trainRows[place]!)) as [number[], number[]]
  return splitOf([train, fit], [train, held])
}

/** For reports. */
export function describeImages({ train, test, data, trainRows, testRows }: OpenedImages): EvaluatedImages {
  const print = ({ features, source }: FolderFeatures, rows: readonly number[]) =>
    fingerprintOf(
      source,
      rows.map((row) => features.indices[row]!),
    )
  return {
    train: train.source.dir,
    test: data.test ? test.source.dir : `a fifth of each class of ${train.source.dir}`,
    trainImages: trainRows.length,
    testImages: testRows.length,
    skipped: train.skipped.length + (data.test ? test.skipped.length : 0),
    fingerprints: { train: print(train, trainRows), test: print(test, testRows) },
  }
}
