/** A model that is used in training, and neither trained nor saved: a teacher. Whoever trains opens it. */
import type { View } from '../prepare/view.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { TokenLayout } from '../token/layout.ts'

export interface FrozenModel {
  /** SHA-256 of its file of weights. */
  readonly hash: string
  /** Numbers of a token. */
  readonly width: number
  readonly depth: number
  /** Of its tokens, which are those of the views that it is given. */
  readonly layout: TokenLayout
  /**
   * What it makes of a view that is normalised as the run's are: the outputs [B, N, width] of blocks, counted from 0, without cls; or of the
   * last one after the final norm. No gradient is recorded.
   */
  features(view: View, blocks: readonly number[] | null): readonly Tensor[]
}
