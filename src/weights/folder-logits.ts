/** Gathers a classifier's logits over a folder, computed by LibTorch or ONNX Runtime. */

import type { Pixels } from '../prepare/pixels.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import type { ImageSource } from '../source/open.ts'
import { expectFiniteRows } from './frozen-encoder.ts'
import { type GatherOptions, gatherRows } from './gather-rows.ts'

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

export interface LogitsOptions extends Pick<FolderLogits, 'source' | 'classes' | 'isMultiLabel'> {
  readonly reading: Omit<GatherOptions, 'compute'>
  /** The logits [B, classes] of images of one size. */
  readonly logitsOf: (samples: Pixels) => Float32Array | Promise<Float32Array>
}

/** Throws as `gatherRows`. */
export async function gatherLogits({ reading, logitsOf, ...facts }: LogitsOptions): Promise<FolderLogits> {
  const { parts, ...rest } = await gatherRows({
    ...reading,
    compute: async (samples) => [await logitsOf(samples)],
    check: ([made], indices) => expectFiniteRows(made!, indices, 'logits'),
  })
  return { ...facts, ...rest, logits: parts[0] ?? new Float32Array(0) }
}
