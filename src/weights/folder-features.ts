/** Features of a folder's images by an opened encoder. */

import { type DecodingPlan, fittingOf, inferenceOptions } from '../config/assemble.ts'
import { readingConfig } from '../config/reading.ts'
import type { Config } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import { type BackboneShape, layoutOf } from '../model/backbone-shape.ts'
import { type FeatureSpec, usualFeatures } from '../model/features.ts'
import { imagesInOrder } from '../prepare/loader/in-order.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import type { ImageSource } from '../source/open.ts'
import type { FeatureName } from '../token/feature.ts'
import { layoutTokens } from '../token/layout.ts'
import { type Features, featureSpecs, featuresOfBatch, gatherFeatures } from './frozen-encoder.ts'
import type { GatherOptions, RowJournal } from './gather-rows.ts'
import { type OpenedEncoder, openFor } from './open-encoder.ts'

export interface FolderFeatures {
  readonly source: ImageSource
  readonly features: Features
  readonly skipped: readonly SkippedFile[]
  /** Spent on them, in earlier attempts, too. */
  readonly seconds: number
}

const TOKENS = 8192 // per batch: enough for every core, in little memory

/** Batch size of inference. `most`: patches of an image, where images have sizes of their own. */
export const inferenceBatch = (shape: BackboneShape, most = 0): number =>
  Math.max(1, Math.min(256, Math.floor(TOKENS / Math.max(most, layoutTokens(layoutOf(shape))))))

export type Progress = (event: { readonly dir: string; readonly done: number; readonly of: number }) => void

export interface ReadingOptions {
  readonly onProgress?: Progress | undefined
  /** Called for each skipped file, also if reading fails in the end. */
  readonly onSkip?: (skipped: SkippedFile) => void
  /** Overrides the configuration. */
  readonly maxSkippedShare?: number
  /** What an earlier reading of the same source by the same model has done; what is done now is added. */
  readonly journal?: RowJournal | undefined
  /** Stops between two batches. */
  readonly signal?: AbortSignal | undefined
}

export interface FeatureReading extends ReadingOptions {
  /** Default: cls, mean and, where there is one, the model's own output. */
  readonly features?: readonly FeatureName[] | undefined
}

export const featuresOf = async (
  encoder: OpenedEncoder,
  dir: string,
  options: FeatureReading = {},
): Promise<FolderFeatures> => featuresOfSource(encoder, await openFor(encoder, dir), options)

/** Of an open source. Throws as `gatherRows`, and `USAGE` for a feature that the model lacks. */
export async function featuresOfSource(
  encoder: OpenedEncoder,
  source: ImageSource,
  { features = usualFeatures(encoder), ...options }: FeatureReading = {},
): Promise<FolderFeatures> {
  const specs = featureSpecs(encoder, features)
  expectOneLength(encoder.config, specs)
  const reading = gathering(readingConfig(encoder), source, {
    ...options,
    decoding: encoder.machine,
    shape: encoder.shape,
  })
  const compute = featuresOfBatch(encoder, specs)
  return { source, ...(await gatherFeatures(specs, { ...reading, compute })) }
}

/** Throws `USAGE` for the patches of images of sizes of their own, which are no rectangle of numbers. */
export function expectOneLength(config: Config, specs: readonly FeatureSpec[]): void {
  if (fittingOf(config)?.budget && specs.some(({ tokens }) => tokens > 1))
    throw new SherdError(
      'USAGE',
      'Images keep their shape with this model, so that each has another number of patches: give one size for all, --image-size H[xW].',
    )
}

interface GatheringOptions extends ReadingOptions {
  readonly decoding: DecodingPlan
  readonly shape: BackboneShape
}

/** How the rows of a source are gathered, whatever computes them. */
export function gathering(
  config: Config,
  source: ImageSource,
  {
    decoding,
    shape,
    onProgress,
    onSkip,
    journal,
    signal,
    maxSkippedShare = config.data.maxSkippedShare,
  }: GatheringOptions,
): Omit<GatherOptions, 'compute'> {
  const of = source.files.length
  const reading = inferenceOptions(config, source, decoding)
  const batchSize = inferenceBatch(shape, reading.fitting?.budget?.most)
  const options = { ...reading, maxSkippedShare, batchSize }
  return {
    ...{ onSkip, journal, signal },
    images: (from, skip) => imagesInOrder(options, skip, from),
    onBatch: (done) => onProgress?.({ dir: source.dir, done, of }),
    limit: { files: of, maxShare: maxSkippedShare, corrupt: config.data.corrupt },
  }
}
