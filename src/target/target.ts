/** The interface of targets: values for hidden tokens, and the loss of a prediction against them. */
import type { Collective } from '../collective/collective.ts'
import type { Backbone } from '../model/backbone.ts'
import type { BackboneShape } from '../model/backbone-shape.ts'
import type { HeadWidths } from '../model/decoder/heads.ts'
import type { ParameterRow, Weights } from '../model/parameters.ts'
import type { BandGroup } from '../model/stem/patch-embedding.ts'
import type { CutView } from '../model/stem/patches.ts'
import type { View } from '../prepare/view.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'
import type { MaskPlan } from '../token/mask.ts'
import type { Route } from '../token/spectral-groups.ts'
import type { FeatureModel, WantedFeatures } from './frozen-model.ts'
import type { MetricRow } from './metric.ts'
import type { Showing } from './showing.ts'

export interface TargetSpace {
  readonly shape: BackboneShape
  readonly groups: readonly BandGroup[]
  /** That which learns. */
  readonly backbone: Backbone
  readonly device: Device
}

/** A micro-batch. */
export interface Asked {
  /** The input, perhaps larger than the model's size. */
  readonly view: View
  /** At the model's size. */
  readonly cut: CutView
  readonly plan: MaskPlan
  /** The hidden tokens of each group; computed at the first call, in the scope of that call. */
  readonly routes: () => readonly Route[]
}

/** What the errors of every token need. */
export type Seen = Pick<Asked, 'view' | 'cut'> & Partial<Pick<Asked, 'plan'>>

/** Parts of a loss: float32 scalars, each a mean. The loss is their weighted sum. */
export type Parts = Readonly<Record<string, { readonly mean: Tensor; readonly weight: number }>>

/** A copy of the model's own weights that follows them after each step, under `teacherPrefix`. */
export interface Teacher {
  /** Which weights, by name; default: all. */
  readonly of?: (name: string) => boolean
  readonly momentum: Momentum
}

export const teacherPrefix = 'teacher.'

/** From the first step to the step `over`, linearly; null: over the whole run. */
export interface Momentum {
  readonly from: number
  readonly to: number
  readonly over: number | null
}

export interface Target<Values = unknown> {
  /** The part of the loss that is weighted by hidden tokens with data. */
  readonly part: string
  /** Other parts, which weigh the same in every micro-batch; default none. */
  readonly moreParts?: readonly string[]
  /** Width of the prediction by head. */
  readonly widths: HeadWidths
  /** The predictions that `loss` reads: of hidden tokens, [n, W] by head, or of all, [B, places, W]. */
  readonly reads: 'hidden' | 'all'
  /** Parameters after the heads; default none. */
  readonly rows?: readonly ParameterRow[]
  /** Values of those that are state, from all micro-batches of the first step; default none. */
  first?(batches: readonly (() => Seen)[], collective: Collective): Readonly<Record<string, Tensor>>
  /** Opens what is not trained, by the configuration's key of its path; default none. */
  readonly frozen?: Readonly<Record<string, () => { readonly hash: string }>>
  /** Whether features of tokens are themselves the predictions, without heads; default false. */
  readonly isDirect?: boolean
  /** A copy of the model that `of` reads; default none. */
  readonly teacher?: Teacher
  /** Features of a frozen model that it reads; default none. One pass may then give them and what chooses the mask (`MaskPlan.taught`). */
  readonly taught?: TargetTeacher
  /** Size of the views relative to the model's; default 1. */
  readonly factor?: number
  /** Reduces a view to the model's size. */
  atModelSize?(view: View): View
  /** The values to predict, without gradient. */
  of(asked: Asked, weights: Weights): Values
  loss(predictions: readonly Tensor[], values: Values, weights: Weights): Parts
  /** The error of each hidden token [n] by head, without gradient, from what `loss` gets; absent where there is none of single tokens. */
  each?(predictions: readonly Tensor[], values: Values): readonly Tensor[]
  /** Joins the predictions of all heads at every place, [B, places, …]: pixels in the order of bands, else by head. */
  whole(predictions: readonly Tensor[]): Tensor
  readonly shows: Showing
  /** What is drawn of it at every place, [B, places, …], from predictions at every place; required if `shows` is neither pixels nor errors. */
  drawn?(predictions: readonly Tensor[], seen: Seen, weights: Weights): { wanted: Tensor; said: Tensor }
  /** The error of every token [B, N], from predictions at every place; required if `shows` is not pixels. */
  errors?(predictions: readonly Tensor[], seen: Seen, weights: Weights): Tensor
  /** The chance value of `part`: a number, or the name of one in a line of `metrics.jsonl`; null if unknown. */
  readonly chance: number | string | null
  /** Default: predicting the mean. */
  readonly chanceOf?: string
  /** Scalars that are logged beside the loss, by name, from the predictions and values of `loss`; default none. */
  readonly metrics?: Readonly<Record<string, TargetMetric<Values>>>
}

export interface TargetTeacher extends WantedFeatures {
  readonly by: () => FeatureModel
}

export interface TargetMetric<Values> extends Pick<MetricRow, 'chance' | 'chanceOf' | 'alarm'> {
  /** Without gradient. */
  measure(predictions: readonly Tensor[], values: Values): Tensor
}

export type TargetMaker = (space: TargetSpace) => Target
