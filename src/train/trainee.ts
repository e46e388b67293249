/** Types of what is trained, and of a step's inputs. */
import type { Collective } from '../collective/collective.ts'
import type { Parameters } from '../model/parameters.ts'
import type { At, ImageBatch, Objective, Planned } from '../objective/objective.ts'
import type { Clip } from '../optim/gradients.ts'
import type { GroupRow } from '../optim/groups.ts'
import type { Optimizer, OptimizerState } from '../optim/optimizer.ts'
import type { DType } from '../tensor/dtype.ts'
import type { Kernels } from '../tensor/fused.ts'
import type { Device } from '../tensor/tensor.ts'
import type { SampleAddresses } from '../token/mask.ts'
import type { Span } from './span.ts'

/** The type of matrix products; weights, norms and losses stay in float32. */
export type Precision = Extract<DType, 'float32' | 'bfloat16'>

export interface Trainee<Batch = ImageBatch, Plan = unknown> {
  readonly objective: Objective<Batch, Plan>
  /** Of every role: `allRows` of the objective. */
  readonly parameters: Parameters
  readonly optimizer: Optimizer
  readonly state: OptimizerState
  /** The recipe's, after those of the objective. */
  readonly groups: readonly GroupRow[]
  /** For parameters without a clip in their row; null: none. */
  readonly clip: Clip | null
  readonly seed: number
  readonly device: Device
  readonly precision: Precision
  /** Default: fused, if available. */
  readonly kernels?: Kernels
  /** Activation checkpointing: slower, in less memory. */
  readonly recompute?: boolean
  /** Whether equal steps may be recorded as a CUDA graph. Default true; only a GPU has one. */
  readonly record?: boolean
  /** For profiling. */
  readonly span?: Span
  /** Default: a single process. */
  readonly collective?: Collective
}

export interface StepRequest extends Pick<At, 'step' | 'epoch' | 'value'> {
  /** Micro-batches of this step, all of the same size. */
  readonly parts: number
}

/** A micro-batch on the device, and the addresses of its samples. */
export interface Sampled<Batch> {
  readonly batch: Batch
  readonly samples: SampleAddresses
}

export interface Prepared<Batch, Plan> extends Planned<Batch, Plan> {
  readonly at: At
}
