/** The consumers of a run, in the order in which they hear of a step. */
import { openEarly } from '../early.ts'
import type { RunProgress } from '../events.ts'
import { readProbes } from '../journal.ts'
import { openPace } from '../pace.ts'
import type { Run } from '../run.ts'
import { saveAdapters } from './adapter.ts'
import { raiseAlarms } from './alarms.ts'
import { saveCheckpoints } from './checkpoints.ts'
import type { Consumer } from './consumer.ts'
import { keepJournal } from './journal.ts'
import { logMetrics } from './log.ts'
import { drawLosses } from './loss-curve.ts'
import { followPace } from './pace.ts'
import { drawPictures } from './pictures.ts'
import { probeEncoder } from './probe.ts'
import { listSkipped } from './skipped.ts'
import { traceSteps } from './trace.ts'

export interface ConsumerOptions {
  /** Asked after every step; when it says yes, a checkpoint is saved. */
  readonly isSaveWanted?: (() => boolean) | undefined
  readonly onProgress?: ((progress: RunProgress) => void) | undefined
  /** Whether a step is that of the early look, where the clock does not decide. */
  readonly isEarly?: ((step: number) => boolean) | undefined
  /** Whether checkpoints are saved; default true. */
  readonly saves?: boolean
}

export function openConsumers(opened: Run, options: ConsumerOptions) {
  const { isSaveWanted, onProgress, saves = true } = options
  const { look, trace, recipe, state, config } = opened
  const { totalSteps } = recipe
  const pace = openPace(opened, {
    known: opened.fitted?.cost ?? {},
    onBegin(doing) {
      const { step } = state
      const speed = { secondsLeft: pace.left(step), imagesPerSecond: pace.imagesPerSecond() }
      onProgress?.({ ...{ doing, step, totalSteps, last: null }, ...speed })
    },
  })
  const run: Run = { ...opened, span: pace.span }
  const skipped = listSkipped(run)
  const probes = look ? readProbes(run.paths.metrics) : []
  const { earlySeconds: seconds } = config.log
  const { isEarly = openEarly({ totalSteps, firstStep: state.step, seconds }) } = options
  const consumers: Consumer[] = [
    skipped,
    logMetrics(run),
    followPace(run, pace, onProgress),
    keepJournal(run),
    ...(saves ? [saveCheckpoints(run, isSaveWanted, isEarly)] : []),
    ...(saves && config.adapt.kind !== 'none' ? [saveAdapters(run)] : []),
    drawPictures(run, isEarly),
    ...(look ? [probeEncoder(run, look, { probes, isEarly })] : []),
    raiseAlarms(run),
    ...(trace ? [traceSteps(trace)] : []),
    drawLosses(run, { probes, isEarly }),
  ]
  return { consumers, pace, onSkip: skipped.onSkip }
}
