/**
 * What an objective is to the training step: parameters by role, a plan for each micro-batch, a loss in named parts, and what is
 * averaged and updated beside the gradients. An objective composes stems, encoders, decoders and targets; it is never a subclass of another.
 */
import type { Collective } from '../collective/collective.ts'
import type { ParameterRow, Weights } from '../model/parameters.ts'
import type { GroupRow } from '../optim/groups.ts'
import type { Schedule } from '../optim/schedule.ts'
import type { View } from '../prepare/view.ts'
import type { ViewSpecs } from '../prepare/view-spec.ts'
import type { FrozenModel } from '../target/frozen-model.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { MaskPlan, SampleAddresses } from '../token/mask.ts'

export type Tensors = Readonly<Record<string, Tensor>>

/** Where a step asks: all that draws and schedules may depend on. */
export interface At<S extends string = string> {
  /** The run's. */
  readonly seed: number
  /** Steps asked for before this one, skipped ones included. */
  readonly step: number
  /** Passes over the data before this step, with fractions. */
  readonly epoch: number
  readonly samples: SampleAddresses
  /** Which of the step's `rows` these samples are: those from `firstRow` on. */
  readonly firstRow: number
  /** Samples of the whole step, over all micro-batches and ranks. */
  readonly rows: number
  /** The schedules' values in this step. */
  readonly value: Readonly<Record<S, number>>
  readonly collective: Collective
}

/** The batch of an objective of one view. */
export interface ImageBatch {
  readonly image: View
}

/** What draws are addressed by. */
export type Address = Pick<At, 'seed' | 'samples'>

/** The loss of a micro-batch, and what it leaves for the end of the step. */
export interface Losses {
  /** Scalars in float32, each the mean over what it counts. The loss is their sum, each times its weight. */
  readonly parts: Readonly<Record<string, { readonly mean: Tensor; readonly weight: number }>>
  /** Put together over micro-batches and ranks as `Objective.stats` says, for `update`. */
  readonly stats?: Tensors
  /** Scalars to log; the mean over micro-batches. */
  readonly metrics?: Tensors
}

/** Weights that follow others: the exponential moving average of a teacher or a momentum encoder. */
export interface Average<S extends string = string> {
  /** Prefix of the averages' names, such as `teacher.`. They start as copies. */
  readonly prefix: string
  /** Prefix of the learned parameters that are averaged, such as `student.`; it is replaced by the other. */
  readonly from: string
  /** Which of them, by their names behind `from`; by default all. State is not averaged: a row of its own has it. */
  readonly of?: (name: string) => boolean
  /** `averaged` (MoCo v3) matters where an average starts from elsewhere than a copy. Default `copied`. */
  readonly fixed?: 'copied' | 'averaged'
  /** The share of the old average that stays: a number, or the schedule that has it. */
  readonly momentum: number | S
  /** Before the loss of a step, from the weights that this loss is of (MoCo v3), or after the step (DINO). */
  readonly when: 'before-loss' | 'after-step'
}

/** A micro-batch on the device, and its plan. */
export interface Planned<Batch, Plan> {
  readonly batch: Batch
  readonly plan: Plan
}

/** When a metric says that something is wrong. */
export interface Alarm {
  readonly below?: number
  readonly above?: number
  /** Steps in a row that the value has to be out of bounds, and back within them before it can be said again. */
  readonly forSteps: number
  /** What it means and what helps, a sentence. */
  readonly text: string
}

/** A number of each step, described for whatever draws it or watches it. */
export interface MetricRow {
  /**
   * Of an objective: the name of a part of its loss (kind `loss`) or of a metric. Of a run (`metrics.schema.json`): where it is in a line of
   * `metrics.jsonl`, such as `parts.pixels`.
   */
  readonly name: string
  readonly kind: 'loss' | 'schedule' | 'health' | 'throughput' | 'probe'
  /** Empty for a plain number. */
  readonly unit: string
  /** The value where nothing was learned; a text is the name of the number in the same line that says it. */
  readonly chance?: number | string | null
  /** How the chance value comes about, such as `predicting the mean`. */
  readonly chanceOf?: string
  readonly alarm?: Alarm
}

interface Common<Batch, Plan, S extends string> {
  readonly rows: readonly ParameterRow[]
  /** What it sees of a sample; absent where batches are not the loader's views. */
  readonly views?: ViewSpecs
  /** Every part of the loss and every metric that it gives. */
  readonly metrics?: readonly MetricRow[]
  /** Models that it uses and does not train, by what they are for; opened when first asked for. They are in no checkpoint. */
  readonly frozen?: Readonly<Record<string, () => FrozenModel>>
  readonly averages?: readonly Average<S>[]
  /** Beside those of the learning rate and the weight decay. All are logged under their names. */
  readonly schedules?: Readonly<Record<S, Schedule>>
  /** Go before those of the recipe. */
  readonly groups?: readonly GroupRow[]
  /** Learned parameters whose gradient may be absent in a step: they are then neither moved nor decayed. */
  readonly unreached?: (name: string) => boolean
  /** The prefix of the encoder that is kept: '' for MAE, `teacher.backbone.` for DINO. */
  readonly encoder: { readonly prefix: string }
  /**
   * What a micro-batch is masked and sampled by: a pure function of the address, the batch, and, where `isPlanOfWeights`, the weights.
   * No gradient is recorded.
   */
  plan(at: At<S>, batch: Batch, weights: Weights): Plan
  readonly isPlanOfWeights?: boolean
  /** How much each part of the loss counts in a micro-batch. A part that it does not name counts as much in every one of them. */
  counts?(batch: Batch, plan: Plan): Readonly<Record<string, number>>
  /** First values of state, from all micro-batches of the first step of a fresh run; the loss of that step sees them. */
  first?(weights: Weights, batches: readonly Planned<Batch, Plan>[], at: At<S>): Tensors
  /** How the stats of micro-batches are put together: added, or row under row. */
  readonly stats?: Readonly<Record<string, 'sum' | 'rows'>>
  /** New values of parameters of the role `state`, from the weights of the step's loss; written only when the step is finite. */
  update?(weights: Weights, stats: Tensors, at: At<S>): Tensors
}

/** Its loss is of each micro-batch by itself. */
export interface BatchObjective<Batch = ImageBatch, Plan = MaskPlan, S extends string = string>
  extends Common<Batch, Plan, S> {
  loss(weights: Weights, batch: Batch, plan: Plan, at: At<S>): Losses
}

/**
 * Its loss compares the samples of a step with each other (SimCLR, KoLeo, Sinkhorn, batch norm in a head), so it is of the features of all
 * rows of this rank. With several micro-batches the step computes features without gradient, then the loss and its gradient on all of them,
 * then the features again (gradient caching, Gao et al. 2021): 4 × 16 equals 1 × 64.
 */
export interface RowsObjective<Batch = ImageBatch, Plan = MaskPlan, S extends string = string>
  extends Common<Batch, Plan, S> {
  /**
   * Tensors whose rows are put under those of other micro-batches: of samples, or of their hidden tokens. What the loss needs of the batch
   * or the plan is among them. Called twice when features are cached: the same both times.
   */
  features(weights: Weights, batch: Batch, plan: Plan, at: At<S>): Tensors
  lossOfRows(weights: Weights, features: Tensors, at: At<S>): Losses
}

export type Objective<Batch = ImageBatch, Plan = MaskPlan, S extends string = string> =
  | BatchObjective<Batch, Plan, S>
  | RowsObjective<Batch, Plan, S>
