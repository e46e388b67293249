/** What blocks may add to attention, whatever it is made of: relative positions, rotary positions. */
import type { Device, Tensor } from '../tensor/tensor.ts'
import type { Grid } from '../token/grid.ts'
import type { Weights } from './parameters.ts'

/** Which patches of a grid the tokens behind P prefix tokens are: `kept` [B, K], or all. */
export interface TokenPlaces {
  readonly grid: Grid
  /** P */
  readonly prefix: number
  readonly kept: Tensor | null
  readonly device: Device
}

/** What attention has beside queries, keys and values of each block. */
export interface BlocksAttention {
  /** Tensors without a gradient that the functions read. */
  readonly given: readonly Tensor[]
  /** [1 or B, A, N, N] added to the scores, from the parameters of the block. */
  readonly bias?: (block: Weights, given: readonly Tensor[]) => Tensor
  /** Changes queries and keys [B, A, N, d] before they meet, as rotary positions do. */
  readonly onQk?: (q: Tensor, k: Tensor, given: readonly Tensor[]) => readonly [q: Tensor, k: Tensor]
}
