/** What a target is to an objective: what each hidden token should say, and how far a prediction is from it. */
import type { BackboneShape, CutView } from '../model/backbone.ts'
import type { HeadWidths } from '../model/decoder/heads.ts'
import type { BandGroup } from '../model/group-layers.ts'
import type { ParameterRow, Weights } from '../model/parameters.ts'
import type { View } from '../prepare/view.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'
import type { MaskPlan } from '../token/mask.ts'
import type { Route } from '../token/spectral-groups.ts'
import type { BandStatistics } from './band-pixels.ts'
import type { FrozenModel } from './frozen-model.ts'

/** What a target is opened for. */
export interface TargetSpace {
  readonly shape: BackboneShape
  readonly groups: readonly BandGroup[]
  readonly device: Device
}

/** A micro-batch of which a target is wanted. */
export interface Asked {
  /** As it was given, perhaps larger than the model's. */
  readonly view: View
  /** At the model's size. */
  readonly cut: CutView
  readonly plan: MaskPlan
  /** Which hidden tokens each group has, and where; computed when first asked for, in the scope that is open then. */
  readonly routes: () => readonly Route[]
}

/** Parts of a loss: scalars in float32, each the mean over what it counts. The loss is their sum, each times its weight. */
export type Parts = Readonly<Record<string, { readonly mean: Tensor; readonly weight: number }>>

/** What of a target can be shown: rebuilt pixels (`statistics`: by what they were normalised, null: not at all), or how wrong tokens are. */
export type Showing =
  | { readonly kind: 'pixels'; readonly statistics: BandStatistics | null }
  | { readonly kind: 'errors' }

export interface Target<Values = unknown> {
  /** The part of the loss that counts by hidden tokens that hold data. */
  readonly part: string
  /** Its other parts, which count alike in every micro-batch; none by default. */
  readonly moreParts?: readonly string[]
  /** The numbers asked of a token, by the name of its head. */
  readonly widths: HeadWidths
  /** The tokens whose predictions `loss` reads: hidden ones [n, W] of each head, or all [B, places, W]. */
  readonly reads: 'hidden' | 'all'
  /** Parameters behind the heads; none by default. */
  readonly rows?: readonly ParameterRow[]
  /** A model that it uses and does not train; none by default. */
  readonly frozen?: () => FrozenModel
  /** How many times as large as the model's views are that are learned from; 1 by default. */
  readonly factor?: number
  /** A view of `factor` times the model's size, or of that size, at that size. */
  atModelSize?(view: View): View
  /** What should be said. No gradient is recorded. */
  of(asked: Asked, weights: Weights): Values
  loss(predictions: readonly Tensor[], values: Values, weights: Weights): Parts
  /** The predictions of all heads at every place as one [B, places, …]: bands of pixels in their order, else head by head. */
  whole(predictions: readonly Tensor[]): Tensor
  readonly shows: Showing
  /** The error of every token [B, N], from predictions at every place; where `shows` is of errors. */
  errors?(predictions: readonly Tensor[], asked: Asked, weights: Weights): Tensor
  /** The loss of a prediction that has learned nothing, of `part`; null where none is known. */
  readonly chance: number | null
}

export type TargetMaker = (space: TargetSpace) => Target
