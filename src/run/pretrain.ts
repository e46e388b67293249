/** A pretraining run: opens or resumes its folder, takes steps, and passes events to the consumers that keep the folder up to date. */
import { SherdError } from '../errors.ts'
import { openConsumers } from './consumers/all.ts'
import { type Consumer, isComplete, type Summary } from './consumers/consumer.ts'
import type { EndEvent, LoopEvent, RunEvent } from './events.ts'
import { takeSteps } from './loop.ts'
import { type OpenOptions, openPretraining } from './open.ts'
import { openingEvents } from './opening-events.ts'
import type { Run } from './run.ts'

export interface PretrainOptions extends OpenOptions {
  /** Called after every step; if true, a checkpoint is saved and the run continues. */
  readonly isSaveWanted?: () => boolean
}

/**
 * Runs. Every event is written to the run's folder before it is yielded. Throws `SOURCE`, `DATA_BROKEN`, `RUN`, `VALUE`
 * before or while it runs, `NON_FINITE` with the step, the learning rate, the first tensor and the last good checkpoint.
 */
export async function* pretrain(options: PretrainOptions): AsyncGenerator<RunEvent> {
  const { signal = new AbortController().signal, isSaveWanted, onProgress } = options
  const started = performance.now()
  const run = await openPretraining(options)
  try {
    const { consumers, onSkip } = openConsumers(run, { isSaveWanted, onProgress })
    yield* openingEvents(run)
    for (const consumer of consumers) yield* (await consumer.begin?.()) ?? []
    try {
      for await (const event of takeSteps(run, { signal, onSkip })) {
        if (event.kind === 'step') run.replacement?.drop()
        yield* eachOn(consumers, event)
      }
    } catch (error) {
      for (const consumer of consumers) consumer.failed?.(error)
      throw withAdvice(error)
    }
    if (run.replacement?.isAside())
      throw new SherdError(
        'INTERRUPTED',
        'Stopped before the first step. The run that was there is as it was.',
      )
    for (const consumer of consumers) yield* (await consumer.end?.()) ?? []
    yield endOf(run, consumers, (performance.now() - started) / 1000)
  } finally {
    run.close()
  }
}

async function* eachOn(consumers: readonly Consumer[], event: LoopEvent): AsyncGenerator<RunEvent> {
  for (const consumer of consumers) yield* (await consumer.on?.(event)) ?? []
}

function endOf(run: Run, consumers: readonly Consumer[], seconds: number): EndEvent {
  const { step, skippedSteps, rollbacks } = run.state
  const unknown: Summary = {
    ...{ loss: null, firstLoss: null, imagesPerSecond: null },
    ...{ checkpoint: null, picture: null, lossCurve: null, skipped: 0 },
  }
  const summary: Summary = Object.assign(unknown, ...consumers.map((each) => each.summary?.()))
  const reason = isComplete(run) ? 'completed' : 'interrupted'
  run.note(reason, { step, checkpoint: summary.checkpoint, skippedSteps, rollbacks })
  const { totalSteps } = run.recipe
  return { kind: 'end', reason, step, totalSteps, seconds, skippedSteps, rollbacks, ...summary }
}

function withAdvice(error: unknown): unknown {
  if (!(error instanceof SherdError) || error.code !== 'DATA_BROKEN') return error
  const advice = 'Then continue with --resume, and --accept-data-change if files were removed.'
  return new SherdError(error.code, `${error.message}\n${advice}`, { cause: error })
}
