/** The interface of frozen tokenizers: a code of a codebook for every token of an image. The trainer opens them. */
import type { View } from '../prepare/view.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { TokenLayout } from '../token/layout.ts'

export interface FrozenTokenizer {
  /** SHA-256 of its file of weights. */
  readonly hash: string
  /** Of the tokens that get codes. */
  readonly layout: TokenLayout
  /** K, the entries of its codebook. */
  readonly codes: number
  /** The codes [B, N] int64 of a view in the run's normalisation, each in [0, K), without gradient. */
  encode(view: View): Tensor
}
