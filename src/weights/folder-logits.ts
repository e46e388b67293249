/** Gathers a classifier's logits over a folder, computed by LibTorch or ONNX Runtime. */

import type { OrderedImages } from '../prepare/loader/in-order.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import type { ImageSource } from '../source/open.ts'
import type { Progress } from './folder-features.ts'
import { expectFiniteRows } from './frozen-encoder.ts'

export interface FolderLogits {
  readonly source: ImageSource
  readonly classes: readonly string[]
  readonly isMultiLabel?: boolean | undefined
  /** Index in the source of each row. */
  readonly indices: Int32Array
  /** [rows, classes] */
  readonly logits: Float32Array
  readonly skipped: readonly SkippedFile[]
}

export interface LogitsOptions {
  readonly source: ImageSource
  readonly batches: AsyncIterable<OrderedImages>
  readonly skipped: readonly SkippedFile[]
  readonly classes: readonly string[]
  readonly isMultiLabel?: boolean | undefined
  /** The logits [B, classes] of a batch. */
  readonly logitsOf: (batch: OrderedImages) => Float32Array | Promise<Float32Array>
  readonly onProgress?: Progress | undefined
}

export async function gatherLogits({
  source,
  batches,
  skipped,
  classes,
  isMultiLabel,
  logitsOf,
  onProgress,
}: LogitsOptions): Promise<FolderLogits> {
  const of = source.files.length
  const logits = new Float32Array(of * classes.length)
  const indices: number[] = []
  for await (const batch of batches) {
    const made = await logitsOf(batch)
    expectFiniteRows(made, batch.indices, 'logits')
    logits.set(made, indices.length * classes.length)
    indices.push(...batch.indices)
    onProgress?.({ dir: source.dir, done: indices.length, of })
  }
  const read = logits.subarray(0, indices.length * classes.length)
  return { source, classes, isMultiLabel, indices: Int32Array.from(indices), logits: read, skipped }
}
