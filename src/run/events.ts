/** The events of a run: those of the loop, which consumers receive, and those that `pretrain` yields. */
import type { Listed } from '../checkpoint/retention.ts'
import type { MachinePlan } from '../machine/plan.ts'
import type { MetricRow } from '../objective/objective.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import type { StepEvent, TroubleEvent } from '../train/events.ts'
import type { Inheritance } from './inherit.ts'
import type { Metric } from './journal.ts'
import type { ProbeMetric } from './online-probe.ts'
import type { Profile } from './trace.ts'

export interface StartEvent {
  readonly kind: 'start'
  readonly run: string
  readonly preset: string
  /** The folder of images. */
  readonly data: string
  readonly images: number
  readonly classes: number
  readonly parameters: number
  readonly effectiveBatch: number
  readonly totalSteps: number
  /** Steps of the resumed checkpoint. */
  readonly firstStep: number
  readonly peakLearningRate: number
  /** Rows of all logged numbers. */
  readonly metrics: readonly MetricRow[]
  readonly libtorch: string
  readonly machine: MachinePlan
  /** Changes from the configuration of the resumed run. */
  readonly changes: readonly string[]
}

/** What the run costs here; once some steps were timed, and again where a first probe or picture changes much. */
export interface CostEvent {
  readonly kind: 'cost'
  /** Steps taken. */
  readonly step: number
  readonly totalSteps: number
  readonly images: number
  /** Of the whole run. */
  readonly epochs: number
  /** The median. */
  readonly stepSeconds: number
  readonly imagesPerSecond: number
  /** Until the end, with checkpoints, pictures and probes as far as their times are known. */
  readonly secondsLeft: number
  /** Of these, checkpoints, pictures and probes. */
  readonly besideSeconds: number
}

/** What is done between steps. */
export type Between = 'checkpoint' | 'picture' | 'probe'

/** Where a run stands: before the first step, after each, logged or not, and before what is done between steps. No event, for there are many. */
export interface RunProgress {
  /** `opening`: its data are looked at; `measuring`: steps are timed (`hours`). */
  readonly doing: 'opening' | 'measuring' | 'step' | Between
  readonly step: number
  readonly totalSteps: number
  /** The last step of this process; null before the first. */
  readonly last: StepEvent | null
  /** Null before the first step. */
  readonly secondsLeft: number | null
  /** Of a typical step. */
  readonly imagesPerSecond: number | null
}

export interface EndEvent {
  readonly kind: 'end'
  /** `interrupted`: the signal was aborted; the run can be resumed. */
  readonly reason: 'completed' | 'interrupted'
  readonly step: number
  readonly totalSteps: number
  readonly loss: number | null
  /** The first that was logged. */
  readonly firstLoss: number | null
  /** Of this process; null for a run that was complete before. */
  readonly seconds: number | null
  /** The mean over the steps of this process, without checkpoints, pictures and probes. */
  readonly imagesPerSecond: number | null
  /** Null if the run was stopped among non-finite steps before its first checkpoint. */
  readonly checkpoint: string | null
  readonly picture: string | null
  readonly lossCurve: string | null
  /** Files that could not be used. */
  readonly skipped: number
  /** Non-finite steps. */
  readonly skippedSteps: number
  readonly rollbacks: number
}

/** A non-finite step, which changed nothing. */
export interface SkippedStep {
  readonly kind: 'trouble'
  readonly step: number
  readonly message: string
  readonly inARow: number
  readonly skippedSteps: number
}

/** The run went back to a good checkpoint, or to its beginning, and continues in another order. */
export interface RollbackEvent {
  readonly kind: 'rollback'
  readonly from: number
  readonly to: number
  readonly rollbacks: number
  readonly message: string
}

/** Steps, non-finite steps, rollbacks. The run's state is that of the event. */
export type LoopEvent =
  | StepEvent
  | (SkippedStep & Omit<TroubleEvent, 'step'>)
  | (RollbackEvent & {
      /** Null at the beginning. */
      readonly checkpoint: Listed | null
    })

/** The steps that end in the time that was asked for (`hours`), and what was measured. */
export interface FittedEvent {
  readonly kind: 'fitted'
  readonly hours: number
  readonly steps: number
  readonly epochs: number
  readonly imagesPerSecond: number
  readonly stepSeconds: number
  readonly checkpointSeconds: number
  /** 0 for none. */
  readonly pictureSeconds: number
  /** 0 for none. */
  readonly probeSeconds: number
  /** From the start of the process to the end of the run, as expected. */
  readonly seconds: number
}

export type RunEvent =
  | StartEvent
  | FittedEvent
  | CostEvent
  /** Initialisation of a new run from other weights. */
  | (Inheritance & { readonly kind: 'inherited' })
  | (Metric & { readonly kind: 'step' })
  | (SkippedFile & { readonly kind: 'skip' })
  | { readonly kind: 'checkpoint'; readonly step: number; readonly path: string }
  | { readonly kind: 'picture'; readonly step: number; readonly path: string }
  | SkippedStep
  | RollbackEvent
  | ProbeMetric
  /** A failure outside of training; the run continues. */
  | { readonly kind: 'warning'; readonly message: string }
  | (Profile & { readonly kind: 'profile' })
  | EndEvent
