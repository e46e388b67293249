/** A segmenter applied to a folder, by LibTorch or ONNX Runtime. */
import type { SegmenterFacts } from '../checkpoint/weights-metadata.ts'
import type { OrderedImages } from '../prepare/loader/in-order.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import type { Window } from '../prepare/windows.ts'
import type { ImageSource } from '../source/open.ts'
import type { Progress } from './folder-features.ts'
import type { ModelOrigin } from './open-encoder.ts'

export interface FolderSegmentation {
  readonly source: ImageSource
  /** Windows of the images; those of an image one after the other. Without `windows` each image is one, of the model's size. */
  readonly batches: AsyncIterable<OrderedImages & { readonly windows?: readonly Window[] }>
  readonly skipped: readonly SkippedFile[]
  readonly facts: Pick<SegmenterFacts, 'classes' | 'numbers'>
  /** Names of a raster's channels; null for images. */
  readonly bands: readonly string[] | null
  /** [B, classes, H, W] */
  readonly logitsOf: (batch: OrderedImages) => Float32Array | Promise<Float32Array>
  readonly model: ModelOrigin
  readonly onProgress?: Progress | undefined
  /** Stops between two batches. */
  readonly signal?: AbortSignal | undefined
}
