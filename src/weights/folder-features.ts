/** Features of a folder's images by an opened encoder. */

import { inferenceOptions } from '../config/assemble.ts'
import { readingConfig } from '../config/reading.ts'
import { type BackboneShape, layoutOf } from '../model/backbone-shape.ts'
import { imagesInOrder } from '../prepare/loader/in-order.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import type { ImageSource } from '../source/open.ts'
import { layoutTokens } from '../token/layout.ts'
import { extractFeatures, type Features } from './frozen-encoder.ts'
import { type OpenedEncoder, openFor } from './open-encoder.ts'

export interface FolderFeatures {
  readonly source: ImageSource
  readonly features: Features
  readonly skipped: readonly SkippedFile[]
}

const TOKENS = 8192 // per batch: enough for every core, in little memory

/** Batch size of inference. */
export const inferenceBatch = (shape: BackboneShape): number =>
  Math.max(1, Math.min(256, Math.floor(TOKENS / layoutTokens(layoutOf(shape)))))

export type Progress = (event: { readonly dir: string; readonly done: number; readonly of: number }) => void

export interface ReadingOptions {
  readonly onProgress?: Progress | undefined
  /** Called for each skipped file, also if reading fails in the end. */
  readonly onSkip?: (skipped: SkippedFile) => void
  /** Overrides the configuration. */
  readonly maxSkippedShare?: number
}

export const featuresOf = async (
  encoder: OpenedEncoder,
  dir: string,
  onProgress?: Progress,
): Promise<FolderFeatures> => featuresOfSource(encoder, await openFor(encoder, dir), { onProgress })

/** Of an open source. */
export async function featuresOfSource(
  encoder: OpenedEncoder,
  source: ImageSource,
  { onProgress, onSkip, ...limits }: ReadingOptions = {},
): Promise<FolderFeatures> {
  const batchSize = inferenceBatch(encoder.shape)
  const skipped: SkippedFile[] = []
  const options = {
    ...inferenceOptions(readingConfig(encoder), source, encoder.machine),
    ...limits,
    batchSize,
  }
  const images = imagesInOrder(options, (file) => {
    skipped.push(file)
    onSkip?.(file)
  })
  const of = source.files.length
  const features = await extractFeatures(encoder, images, (done) =>
    onProgress?.({ dir: source.dir, done, of }),
  )
  return { source, features, skipped }
}
