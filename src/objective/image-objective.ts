/** Objectives of configurations, which learn from one view of each image: what commands know of them beside the training step. */
import type { ViewSpec } from '../prepare/view-spec.ts'
import type { BatchObjective, ImageBatch } from './objective.ts'

export interface ImageObjective<Plan = unknown, S extends string = string>
  extends BatchObjective<ImageBatch, Plan, S> {
  /** Larger than the model's input if a target needs larger images. */
  readonly views: { readonly image: ViewSpec }
  /** N, the tokens of one sample. */
  readonly tokens: number
}
