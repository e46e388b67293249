/** The features of a folder's images, by an opened encoder. */
import { extractFeatures, type Features } from '../evaluate/features.ts'
import { gridOfModel } from '../model/dimensions.ts'
import { imagesInOrder } from '../prepare/in-order.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import { type ImageSource, openSource } from '../source/open.ts'
import { tokenCount } from '../token/grid.ts'
import { loaderOptions } from './assemble.ts'
import type { OpenedEncoder } from './encoder.ts'

export interface FolderFeatures {
  readonly source: ImageSource
  readonly features: Features
  readonly skipped: readonly SkippedFile[]
}

const TOKENS = 8192 // of a batch: few enough for little memory, enough to keep every core busy

/** Told as images are done. */
export type Progress = (event: { readonly dir: string; readonly done: number; readonly of: number }) => void

export async function featuresOf(
  encoder: OpenedEncoder,
  dir: string,
  onProgress?: Progress,
): Promise<FolderFeatures> {
  const source = await openSource(dir)
  const tokens = tokenCount(gridOfModel(encoder.dimensions))
  const batchSize = Math.max(1, Math.min(256, Math.floor(TOKENS / tokens)))
  const skipped: SkippedFile[] = []
  const images = imagesInOrder(
    { ...loaderOptions(encoder.config, source, encoder.machine, 0), batchSize },
    (file) => skipped.push(file),
  )
  const of = source.files.length
  const features = await extractFeatures(encoder, images, (done) =>
    onProgress?.({ dir: source.dir, done, of }),
  )
  return { source, features, skipped }
}
