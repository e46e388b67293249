/** The consumers of a run, in the order in which they hear of a step. */
import type { Run } from '../open.ts'
import { raiseAlarms } from './alarms.ts'
import { saveCheckpoints } from './checkpoints.ts'
import type { Consumer } from './consumer.ts'
import { keepJournal } from './journal.ts'
import { logMetrics } from './log.ts'
import { drawLosses } from './loss-curve.ts'
import { drawPictures } from './pictures.ts'
import { probeEncoder } from './probe.ts'
import { listSkipped } from './skipped.ts'
import { traceSteps } from './trace.ts'

export interface ConsumerOptions {
  /** Asked after every step; when it says yes, a checkpoint is saved. */
  readonly isSaveWanted?: (() => boolean) | undefined
}

export function openConsumers(run: Run, { isSaveWanted }: ConsumerOptions) {
  const { look, trace } = run
  const skipped = listSkipped(run)
  const consumers: Consumer[] = [
    skipped,
    logMetrics(run),
    keepJournal(run),
    saveCheckpoints(run, isSaveWanted),
    drawPictures(run),
    ...(look ? [probeEncoder(run, look)] : []),
    raiseAlarms(run),
    ...(trace ? [traceSteps(trace)] : []),
    drawLosses(run),
  ]
  return { consumers, onSkip: skipped.onSkip }
}
