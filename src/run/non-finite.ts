/** What a run does after too many steps in a row that were not finite: it goes back, or ends with a report. */
import { SherdError } from '../errors.ts'
import { writeWhole } from '../files/write-whole.ts'
import type { TroubleEvent } from '../train/events.ts'
import { describeTrouble } from '../train/loop.ts'
import type { LoopEvent } from './events.ts'
import type { Run } from './open.ts'
import { rollBack } from './recover.ts'

const advice = 'A lower optim.baseLearningRate, a longer warm-up or optim.clipGradientNorm may help.'

/** A disk that is full must not hide why the run ends. */
function writeReport(path: string, report: object): void {
  try {
    writeWhole(path, `${JSON.stringify(report, null, 2)}\n`)
  } catch {
    // the error that follows says the same
  }
}

/** Throws `NON_FINITE` where the run cannot go back any more; `not-finite.json` then says what was first. */
export function goBack({ paths, config, state, start }: Run, event: TroubleEvent): LoopEvent {
  const { step: from, first } = event
  const message = describeTrouble(event)
  const back = rollBack({
    ...{ dir: paths.checkpoints, training: state, start, lostAt: from - state.inARow + 1 },
    maxRollbacks: config.train.maxRollbacks,
    everySteps: config.checkpoint.everySteps,
  })
  const { step: to, rollbacks, skippedSteps } = state
  if (!back.isPossible) {
    writeReport(paths.notFinite, { step: from, message, first, skippedSteps, rollbacks })
    throw new SherdError('NON_FINITE', `${message}. ${back.message} ${advice}`)
  }
  return { kind: 'rollback', from, to, rollbacks, message, checkpoint: back.checkpoint }
}
