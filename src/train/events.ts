/** What training tells while it runs. Logging, checkpoints and pictures are consumers of this stream. */

/** One optimizer step. Units are in the names; `loss` and `gradientNorm` are those before the update. */
export interface StepEvent {
  readonly kind: 'step'
  /** Steps taken, this one included: 1, 2, … */
  readonly step: number
  /** Passes over the data after this step. */
  readonly epoch: number
  readonly loss: number
  readonly learningRate: number
  readonly gradientNorm: number
  readonly imagesPerSecond: number
  readonly stepSeconds: number
  /** How long the step waited for decoded images. */
  readonly dataWaitSeconds: number
}
