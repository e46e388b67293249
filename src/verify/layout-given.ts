/** What the parts of a layout's check share. */
import type { ConfigInput } from '../config/schema.ts'
import type { Tap } from '../model/block.ts'
import { cat, unsqueeze } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { OpenedEncoder } from '../weights/open-encoder.ts'

export interface LayoutGiven {
  readonly encoder: OpenedEncoder
  readonly tensors: ReadonlyMap<string, Tensor>
  readonly class: string
  readonly library: string
  readonly folder: string
  /** What counts where its files leave it open. */
  readonly base: ConfigInput
}

export type LayoutOutputs = Readonly<Record<string, Tensor>>

/** Every block's output, and the attention of the last. */
export const tapsOf = (depth: number): Tap[] => [
  ...Array.from({ length: depth }, (_, block) => ({ block, of: 'output' }) as const),
  { block: depth - 1, of: 'attention' },
]

export const stacked = (taps: readonly Tensor[]): Tensor =>
  cat(
    taps.map((x) => unsqueeze(x, 0)),
    0,
  )
