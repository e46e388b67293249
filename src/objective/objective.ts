/**
 * The interface of objectives: parameters by role, a plan for each micro-batch, a loss in named parts, averages and state. An objective
 * composes stems, encoders, decoders and targets; it never subclasses another.
 */
import type { Collective } from '../collective/collective.ts'
import type { ParameterRow, Weights } from '../model/parameters.ts'
import type { GroupRow } from '../optim/groups.ts'
import type { Schedule } from '../optim/schedule.ts'
import type { View } from '../prepare/view.ts'
import type { ViewSpecs } from '../prepare/view-spec.ts'
import type { MetricRow } from '../target/metric.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { SampleAddresses } from '../token/mask.ts'

export type { Alarm, MetricRow } from '../target/metric.ts'

export type Tensors = Readonly<Record<string, Tensor>>

/** The position in a run: everything that draws and schedules may depend on. */
export interface At<S extends string = string> {
  /** Of the run. */
  readonly seed: number
  /** Steps before this one, including skipped ones. */
  readonly step: number
  /** Passes over the data before this step, fractional. */
  readonly epoch: number
  readonly samples: SampleAddresses
  /** Index of the first of these samples among the step's `rows`. */
  readonly firstRow: number
  /** Samples of the whole step, over all micro-batches and ranks. */
  readonly rows: number
  /** Values of the schedules in this step. */
  readonly value: Readonly<Record<S, number>>
  readonly collective: Collective
}

/** The batch of an objective of one view. */
export interface ImageBatch {
  readonly image: View
}

/** The address of draws. */
export type Address = Pick<At, 'seed' | 'samples'>

/** The loss of a micro-batch, with stats and metrics. */
export interface Losses {
  /** Scalars in float32, each the mean over what it counts. The loss is their sum, each times its weight. */
  readonly parts: Readonly<Record<string, { readonly mean: Tensor; readonly weight: number }>>
  /** For `update`; combined over micro-batches and ranks as declared in `Objective.stats`. */
  readonly stats?: Tensors
  /** Scalars to log, averaged over micro-batches. */
  readonly metrics?: Tensors
}

/** An exponential moving average of weights: a teacher or a momentum encoder. */
export interface Average<S extends string = string> {
  /** Prefix of the averages' names, such as `teacher.`. They start as copies. */
  readonly prefix: string
  /** Prefix of the learned parameters that are averaged, such as `student.`; it is replaced by the other. */
  readonly from: string
  /** Selects parameters by their names after `from`; default all. State is not averaged: declare a row for it. */
  readonly of?: (name: string) => boolean
  /** Treatment of fixed parameters. `averaged` (MoCo v3) differs if an average does not start as a copy. Default `copied`. */
  readonly fixed?: 'copied' | 'averaged'
  /** The decay: a number, or the name of a schedule. */
  readonly momentum: number | S
  /** Before the loss, from the same weights (MoCo v3), or after the step (DINO). */
  readonly when: 'before-loss' | 'after-step'
}

/** A micro-batch on the device, and its plan. */
export interface Planned<Batch, Plan> {
  readonly batch: Batch
  readonly plan: Plan
}

interface Common<Batch, Plan, S extends string> {
  readonly rows: readonly ParameterRow[]
  /** The views to load; absent if batches do not come from the loader. */
  readonly views?: ViewSpecs
  /** Every part of the loss and every metric. */
  readonly metrics?: readonly MetricRow[]
  /** Frozen models, by the configuration's key of their path; opened lazily, and not saved in checkpoints. */
  readonly frozen?: Readonly<Record<string, () => { readonly hash: string }>>
  readonly averages?: readonly Average<S>[]
  /** Besides learning rate and weight decay. All are logged under their names. */
  readonly schedules?: Readonly<Record<S, Schedule>>
  /** Take precedence over those of the recipe. */
  readonly groups?: readonly GroupRow[]
  /** Learned parameters whose gradient may be absent in a step; they are then neither updated nor decayed. */
  readonly unreached?: (name: string) => boolean
  /** Prefix of the encoder for evaluation and export: '' for MAE, `teacher.backbone.` for DINO. */
  readonly encoder: { readonly prefix: string }
  /**
   * Masks and other draws of a micro-batch: a pure function of the address, the batch and, if `isPlanOfWeights`, the weights. Without
   * gradient.
   */
  plan(at: At<S>, batch: Batch, weights: Weights): Plan
  readonly isPlanOfWeights?: boolean
  /** Weight of the micro-batch in each part of the loss. Parts that are not named weigh the same in every micro-batch. */
  counts?(batch: Batch, plan: Plan): Readonly<Record<string, number>>
  /** Initial values of state, from all micro-batches of the first step of a fresh run, before its loss. */
  first?(weights: Weights, batches: readonly Planned<Batch, Plan>[], at: At<S>): Tensors
  /** How stats of micro-batches are combined: summed, or concatenated. */
  readonly stats?: Readonly<Record<string, 'sum' | 'rows'>>
  /** New values of parameters with role `state`, from the weights of the step's loss; written only if the step is finite. */
  update?(weights: Weights, stats: Tensors, at: At<S>): Tensors
}

/** With a loss of each micro-batch by itself. */
export interface BatchObjective<Batch = ImageBatch, Plan = unknown, S extends string = string>
  extends Common<Batch, Plan, S> {
  loss(weights: Weights, batch: Batch, plan: Plan, at: At<S>): Losses
}

/**
 * With a loss that compares the samples of a step (SimCLR, KoLeo, Sinkhorn, batch norm in a head), from the features of all rows of this
 * rank. With several micro-batches the step computes features without gradient, then the loss and its gradient with respect to them, then
 * the features again (gradient caching, Gao et al. 2021): 4 × 16 equals 1 × 64.
 */
export interface RowsObjective<Batch = ImageBatch, Plan = unknown, S extends string = string>
  extends Common<Batch, Plan, S> {
  /**
   * Tensors to concatenate over micro-batches, with a row per sample or hidden token, including whatever the loss needs of batch and plan.
   * Called twice with gradient caching, with equal results.
   */
  features(weights: Weights, batch: Batch, plan: Plan, at: At<S>): Tensors
  lossOfRows(weights: Weights, features: Tensors, at: At<S>): Losses
}

export type Objective<Batch = ImageBatch, Plan = unknown, S extends string = string> =
  | BatchObjective<Batch, Plan, S>
  | RowsObjective<Batch, Plan, S>
