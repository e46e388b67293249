/** Events of the training loop. Logging, checkpoints and pictures consume them. */
import type { NotFinite } from '../tensor/finite.ts'

/** One optimizer step. Units are in the names; `loss` and `gradientNorm` are those before the update. */
export interface StepEvent {
  readonly kind: 'step'
  /** 1, 2, … */
  readonly step: number
  /** Passes over the data after this step. */
  readonly epoch: number
  readonly loss: number
  /** Parts of the loss by name, unweighted. */
  readonly parts: Readonly<Record<string, number>>
  /** Metrics of the objective. */
  readonly metrics: Readonly<Record<string, number>>
  readonly learningRate: number
  /** Values of all schedules, including the learning rate. */
  readonly schedules: Readonly<Record<string, number>>
  /** Of all gradients, before clipping. */
  readonly gradientNorm: number
  readonly imagesPerSecond: number
  readonly stepSeconds: number
  /** Waiting for decoded images. */
  readonly dataWaitSeconds: number
}

/** A step with a non-finite loss or gradient. It changed nothing, but its images are consumed. */
export interface TroubleEvent
  extends Pick<StepEvent, 'step' | 'learningRate' | 'loss' | 'gradientNorm' | 'parts'> {
  readonly kind: 'trouble'
  /** The first non-finite tensor; null if tracing found none. */
  readonly first: NotFinite | null
}
