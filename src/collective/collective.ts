/**
 * What the processes of one run exchange. Today a run is one process: `alone`. Objectives and the step call these at the same places on
 * every rank, with nothing between them that depends on the data of one rank.
 */
import type { Tensor } from '../tensor/tensor.ts'

export interface Collective {
  readonly rank: number
  readonly world: number
  /**
   * Sums tensors over all ranks, in place. Every rank gives tensors of the same shapes, in the same order: gradients and stats where the
   * model is, counts and losses on the CPU.
   */
  allReduce(tensors: readonly Tensor[]): void
  /** The rows of all ranks in the order of ranks, [B, …] → [world · B, …]; gradients of a rank's rows are summed over ranks. */
  gather(x: Tensor): Tensor
  /** Whether it holds on every rank. */
  agree(holds: boolean): boolean
}

/** A world of one process. */
export const alone: Collective = {
  ...{ rank: 0, world: 1 },
  allReduce: () => {},
  gather: (x) => x,
  agree: (holds) => holds,
}
