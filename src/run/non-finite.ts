/** What a run does about a step that was not finite: skips it, and after too many in a row goes back, or ends with a report. */

import { runPaths } from '../checkpoint/run-folder.ts'
import type { Config } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import { writeWhole } from '../files/write-whole.ts'
import type { TroubleEvent } from '../train/events.ts'
import { describeTrouble } from '../train/loop.ts'
import type { RunEvent } from './events.ts'
import { rewindMetrics } from './journal.ts'
import { type RolledBack, type RunState, rollBack, type Start } from './recover.ts'
import type { Upkeep } from './upkeep.ts'

export interface TroubleOptions {
  readonly out: string
  readonly config: Config
  /** Its counts are kept up to date, and a rollback puts it back. */
  readonly training: RunState
  readonly start: Start
  /** Steps that were not finite, this one included, since the last that was. */
  readonly inARow: number
  readonly note: Upkeep['note']
}

export interface Met {
  readonly events: readonly RunEvent[]
  /** Null when the step was skipped and the training goes on. */
  readonly rolledBack: Extract<RolledBack, { isPossible: true }> | null
}

const advice = 'A lower optim.baseLearningRate, a longer warm-up or optim.clipGradientNorm may help.'

/** A disk that is full must not hide why the run ends. */
function writeReport(path: string, report: object): void {
  try {
    writeWhole(path, `${JSON.stringify(report, null, 2)}\n`)
  } catch {
    // the error that follows says the same
  }
}

/** Throws `NON_FINITE` when the run can neither skip nor go back any more; `not-finite.json` then says what was first. */
export function meetTrouble(event: TroubleEvent, options: TroubleOptions): Met {
  const { out, config, training, start, inARow, note } = options
  const { maxSkippedSteps, maxRollbacks } = config.train
  const paths = runPaths(out)
  const { step, loss, gradientNorm, first } = event
  const message = describeTrouble(event)
  training.skippedSteps++
  const { skippedSteps } = training
  note('skipped step', { step, loss: String(loss), gradientNorm: String(gradientNorm), first })
  const told: RunEvent = { kind: 'trouble', step, message, inARow, skippedSteps }
  if (inARow <= maxSkippedSteps) return { events: [told], rolledBack: null }
  const lostAt = step - inARow + 1
  const back = rollBack({
    ...{ dir: paths.checkpoints, training, start, lostAt, maxRollbacks },
    everySteps: config.checkpoint.everySteps,
  })
  const { rollbacks } = training
  if (!back.isPossible) {
    const report = { step, message, first, skippedSteps, rollbacks }
    writeReport(paths.notFinite, report)
    throw new SherdError('NON_FINITE', `${message}. ${back.message} ${advice}`)
  }
  const to = training.step
  note('rolled back', { from: step, to, rollbacks })
  rewindMetrics(paths.metrics, to)
  return { events: [told, { kind: 'rollback', from: step, to, rollbacks, message }], rolledBack: back }
}
