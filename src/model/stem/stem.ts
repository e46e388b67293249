/**
 * What makes tokens of one kind of input. An encoder takes the tokens of one stem, or of several in one sequence; masks choose among
 * tokens by their number and know no stem.
 */
import type { Tensor } from '../../tensor/tensor.ts'
import type { TokenLayout } from '../../token/layout.ts'
import type { ParameterRow, Weights } from '../parameters.ts'

/** Where tokens stand. */
export interface Places {
  /** [S, D]; null: nothing is added to the tokens. */
  readonly positions: Tensor | null
  /** [B, K] the row of `positions` of each token; null: the n-th has row n. */
  readonly kept: Tensor | null
  /** [R, D] of the prefix tokens that have a position. */
  readonly prefixPositions?: Tensor | null
}

/** What every stem's input says of itself once it is cut. */
export interface CutInput {
  /** B */
  readonly samples: number
  /** [B, N] 1 for tokens that hold data, 0 for the others; null when all do. */
  readonly present: Tensor | null
}

/** `Input`: a field of a batch on the device, such as `View`. `Cut`: that input cut into tokens, not yet embedded. */
export interface Stem<Input, Cut extends CutInput> {
  /** The parameters of the embedding. */
  readonly embedding: readonly ParameterRow[]
  /** Those of the positions; none where they are computed. */
  readonly positioning: readonly ParameterRow[]
  /** N and how tokens are numbered. */
  readonly layout: TokenLayout
  /** Once a step: masks, encoder and target share what it returns. Throws `SHAPE` for input of another size. */
  cut(input: Input): Cut
  /**
   * [B, K, D]: the tokens `which` [B, K] alone are embedded, so what is hidden cannot reach the encoder; null: all tokens of the groups
   * `only`, by default of all.
   */
  embed(cut: Cut, which: Tensor | null, weights: Weights, only?: readonly number[] | null): Tensor
  /** The positions of the tokens `which` [B, K]. */
  place(cut: Cut, which: Tensor, weights: Weights): Places
}
