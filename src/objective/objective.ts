/**
 * What an objective is to the training loop: parameters, a mask plan for each batch, and a loss. An objective composes a
 * mask, an encoder, a decoder and a target; it is never a subclass of another.
 */
import type { ParameterRow, Weights } from '../model/parameters.ts'
import type { Images } from '../prepare/views.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { MaskPlan, SampleAddresses } from '../token/mask.ts'

export interface Prediction {
  /** [B, 1 + K, D] */
  readonly latent: Tensor
  /** [B, T · L, P·P·C], frame by frame in image order; zeros for a band that no group has. */
  readonly prediction: Tensor
}

/** What training asks for: the loss of a batch under a plan, a scalar in float32. */
export interface Learner<Plan, Input = Images> {
  loss(weights: Weights, images: Input, plan: Plan): Tensor
}

export interface Objective extends Learner<MaskPlan> {
  readonly rows: readonly ParameterRow[]
  /** N, the tokens of one sample. */
  readonly tokens: number
  /**
   * The mask plan of a batch, a pure function of the run's seed and the samples' addresses, and of where `images` have no data:
   * tokens without any are never seen.
   */
  plan(seed: number, samples: SampleAddresses, images?: Images): MaskPlan
  /** The plan that noise [B, N] gives, for callers that bring their own. */
  planFromNoise(noise: Tensor, images?: Images): MaskPlan
  /** Everything that the model says about the images, for pictures and checks. */
  predict(weights: Weights, images: Images, plan: MaskPlan): Prediction
}
