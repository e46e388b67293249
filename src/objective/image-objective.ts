/** Objectives of configurations, which learn from one view of each image: what commands know of them beside the training step. */
import type { Weights } from '../model/parameters.ts'
import type { ViewSpec } from '../prepare/view-spec.ts'
import type { Exposure } from '../target/showing.ts'
import type { At, BatchObjective, ImageBatch } from './objective.ts'

export interface ImageObjective<Plan = unknown, S extends string = string>
  extends BatchObjective<ImageBatch, Plan, S> {
  /** Larger than the model's input if a target needs larger images. */
  readonly views: { readonly image: ViewSpec }
  /** N, the tokens of one sample. */
  readonly tokens: number
  /** For pictures, without gradient; absent: there is nothing to draw. */
  show?(weights: Weights, batch: ImageBatch, at: At<S>): Exposure
}
