/**
 * Collective operations between the processes of a run; today there is one: `alone`. Objectives and the step must make the same calls in
 * the same order on every rank, whatever the data of a rank.
 */
import type { Tensor } from '../tensor/tensor.ts'

export interface Collective {
  readonly rank: number
  readonly world: number
  /**
   * Sums tensors over all ranks, in place. Shapes and order are the same on every rank. Gradients and stats are on the model's device, counts
   * and losses on the CPU.
   */
  allReduce(tensors: readonly Tensor[]): void
  /** All-gather with gradients, [B, …] → [world · B, …]; gradients of a rank's rows are summed over ranks. */
  gather(x: Tensor): Tensor
  /** Logical and over ranks. */
  agree(holds: boolean): boolean
}

/** A world of one process. */
export const alone: Collective = {
  ...{ rank: 0, world: 1 },
  allReduce: () => {},
  gather: (x) => x,
  agree: (holds) => holds,
}
