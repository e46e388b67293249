/** What training tells while it runs. Logging, checkpoints and pictures are consumers of this stream. */
import type { NotFinite } from '../tensor/finite.ts'

/** One optimizer step. Units are in the names; `loss` and `gradientNorm` are those before the update. */
export interface StepEvent {
  readonly kind: 'step'
  /** Steps taken, this one included: 1, 2, … */
  readonly step: number
  /** Passes over the data after this step. */
  readonly epoch: number
  readonly loss: number
  /** The parts of the loss by name, without their weights. */
  readonly parts: Readonly<Record<string, number>>
  /** What else the objective measured. */
  readonly metrics: Readonly<Record<string, number>>
  readonly learningRate: number
  /** Every schedule's value in this step, the learning rate's too. */
  readonly schedules: Readonly<Record<string, number>>
  /** Over all gradients, before clipping. */
  readonly gradientNorm: number
  readonly imagesPerSecond: number
  readonly stepSeconds: number
  /** How long the step waited for decoded images. */
  readonly dataWaitSeconds: number
}

/** A step whose loss or gradient was not finite. It changed nothing; its images are spent. */
export interface TroubleEvent
  extends Pick<StepEvent, 'step' | 'learningRate' | 'loss' | 'gradientNorm' | 'parts'> {
  readonly kind: 'trouble'
  /** The first tensor that was not finite; null where a second look found none. */
  readonly first: NotFinite | null
}
