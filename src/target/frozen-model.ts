/** The interface of frozen teachers, which are neither trained nor saved. The trainer opens them. */
import type { View } from '../prepare/view.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { TokenLayout } from '../token/layout.ts'

export interface FrozenModel {
  /** SHA-256 of its file of weights. */
  readonly hash: string
  /** Width of its tokens. */
  readonly width: number
  readonly depth: number
  /** [H, W] of the views that it takes. */
  readonly imageSize: readonly [height: number, width: number]
  /** Of its tokens. */
  readonly layout: TokenLayout
  /**
   * Features of a view in the run's normalisation, without gradient: outputs [B, N, width] of blocks (from 0) without cls; with null, of the
   * last block after the final norm.
   */
  features(view: View, blocks: readonly number[] | null): readonly Tensor[]
}
