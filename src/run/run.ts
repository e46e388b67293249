/** A run that is open: what its loop and its consumers work with. */
import type { Listed } from '../checkpoint/retention.ts'
import type { RunFacts, runPaths } from '../checkpoint/run-folder.ts'
import type { recipeOf } from '../config/recipe.ts'
import type { Config } from '../config/schema.ts'
import type { MachinePlan } from '../machine/plan.ts'
import type { MetricRow } from '../objective/objective.ts'
import type { Feed } from '../prepare/cache/feed.ts'
import type { ImageSource } from '../source/open.ts'
import type { Span } from '../train/span.ts'
import type { Trainee } from '../train/trainee.ts'
import type { Model } from '../weights/load-model.ts'
import type { Beginning } from './begin.ts'
import type { RunEvent } from './events.ts'
import type { OnlineProbe } from './online-probe.ts'
import type { Exhibit } from './pictures.ts'
import type { Recovered, RunState, Start } from './recover.ts'
import type { Replacement } from './replace.ts'
import type { RunCost } from './run-cost.ts'
import type { Trace } from './trace.ts'

export interface Fitted {
  readonly hours: number
  readonly steps: number
  readonly epochs: number
  readonly imagesPerSecond: number
  /** What was measured; `open` is the time until now. */
  readonly cost: RunCost
  /** How long the run is expected to take, from its start. */
  readonly seconds: number
}

export interface Run extends Pick<Beginning, 'notes' | 'changes'>, Pick<Recovered, 'damaged'> {
  readonly out: string
  readonly paths: ReturnType<typeof runPaths>
  readonly isResumed: boolean
  readonly config: Config
  readonly facts: RunFacts
  readonly source: ImageSource
  readonly machine: MachinePlan
  /** What the loop reads its batches from. */
  readonly feed: Feed<Model['objective']['views']>
  readonly objective: Model['objective']
  /** With the objective's schedules. */
  readonly recipe: ReturnType<typeof recipeOf>
  readonly trainee: Trainee
  /** Rows of all logged numbers, as in `metrics.schema.json`. */
  readonly metrics: readonly MetricRow[]
  /** Written by the loop only. */
  readonly state: RunState
  /** The initial state, also for a rollback without a checkpoint. */
  readonly start: Start
  /** The resumed checkpoint. */
  readonly latest: Listed | null
  readonly model: Model
  readonly exhibit: Exhibit
  /** Null without a probe. */
  readonly look: OnlineProbe | null
  /** How its steps were fitted to a time, now. */
  readonly fitted: Fitted | null
  /** The run whose place it takes. */
  readonly replacement: Replacement | null
  readonly trace: Trace | null
  readonly span: Span
  /** Writes to the journal. Failing to do so does not end the run. */
  note(event: string, more?: object): void
  /** A warning event, also written to the journal. */
  warning(message: string): RunEvent
  close(): void
}
