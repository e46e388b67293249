/** Extensions of attention: relative position bias, rotary positions. */
import type { Device, Tensor } from '../tensor/tensor.ts'
import type { Grid } from '../token/grid.ts'
import type { Weights } from './parameters.ts'

/** The patches of the tokens after P prefix tokens: `kept` [B, K], or all of the grid. */
export interface TokenPlaces {
  readonly grid: Grid
  /** P */
  readonly prefix: number
  readonly kept: Tensor | null
  readonly device: Device
}

export interface BlocksAttention {
  /** Tensors without gradient that the functions read. */
  readonly given: readonly Tensor[]
  /** [1 or B, A, N, N] added to the scores, from the parameters of the block. */
  readonly bias?: (block: Weights, given: readonly Tensor[]) => Tensor
  /** Changes queries and keys [B, A, N, d] before they meet, as rotary positions do. */
  readonly onQk?: (q: Tensor, k: Tensor, given: readonly Tensor[]) => readonly [q: Tensor, k: Tensor]
}
