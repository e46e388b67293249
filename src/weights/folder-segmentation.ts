/** A segmenter applied to a folder, by LibTorch or ONNX Runtime. */

import type { SegmenterFacts } from '../checkpoint/weights-metadata.ts'
import { type DecodingPlan, inferenceOptions } from '../config/assemble.ts'
import type { Config } from '../config/schema.ts'
import type { BackboneShape } from '../model/backbone-shape.ts'
import type { SkipLimit, SkippedFile } from '../prepare/skipped.ts'
import { type WindowedImages, windowedImages } from '../prepare/windows.ts'
import type { ImageSource } from '../source/open.ts'
import { inferenceBatch } from './folder-features.ts'
import type { ModelOrigin } from './open-encoder.ts'

export interface FolderSegmentation {
  readonly source: ImageSource
  /** Windows of the images, those of an image one after the other, from a `next` on. */
  readonly images: (from: number, onSkip: (file: SkippedFile) => void) => AsyncIterable<WindowedImages>
  readonly limit: SkipLimit
  readonly facts: Pick<SegmenterFacts, 'classes' | 'numbers'>
  /** Names of a raster's channels; null for images. */
  readonly bands: readonly string[] | null
  /** [B, classes, H, W] */
  readonly logitsOf: (batch: WindowedImages) => Float32Array | Promise<Float32Array>
  readonly model: ModelOrigin
}

/** How the windows of a source are read, whatever computes their logits. */
export function windowing(
  config: Config,
  source: ImageSource,
  { decoding, shape }: { readonly decoding: DecodingPlan; readonly shape: BackboneShape },
): Pick<FolderSegmentation, 'source' | 'images' | 'limit'> {
  const options = { ...inferenceOptions(config, source, decoding), batchSize: inferenceBatch(shape) }
  const { maxSkippedShare: maxShare, corrupt } = config.data
  return {
    source,
    images: (from, onSkip) => windowedImages(options, onSkip, from),
    limit: { files: source.files.length, maxShare, corrupt },
  }
}
