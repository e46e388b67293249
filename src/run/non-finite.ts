/** After too many non-finite steps in a row: rolls back, or ends the run with a report. */
import { SherdError } from '../errors.ts'
import { writeWhole } from '../files/write-whole.ts'
import type { TroubleEvent } from '../train/events.ts'
import { describeTrouble } from '../train/loop.ts'
import type { LoopEvent } from './events.ts'
import { rollBack } from './recover.ts'
import type { Run } from './run.ts'

const advice = 'A lower optim.baseLearningRate, a longer warm-up or optim.clipGradientNorm may help.'

/** A full disk must not hide why the run ends. */
function writeReport(path: string, report: object): void {
  try {
    writeWhole(path, `${JSON.stringify(report, null, 2)}\n`)
  } catch {
    // the error that follows says the same
  }
}

/** Throws `NON_FINITE` if the run cannot roll back any more; `not-finite.json` then names the first tensor. */
export async function goBack(
  { paths, config, state, start }: Pick<Run, 'paths' | 'config' | 'state' | 'start'>,
  event: TroubleEvent,
): Promise<LoopEvent> {
  const { step: from, first } = event
  const message = describeTrouble(event)
  const back = await rollBack({
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
