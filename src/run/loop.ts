/** The loop of a run, with recovery from non-finite steps (docs/reliability.md). Owns the run's state and writes no files. */
import { effectiveBatch } from '../config/resolve.ts'
import { openLoader } from '../prepare/loader/loader.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import { describeTrouble, train } from '../train/loop.ts'
import type { LoopEvent } from './events.ts'
import { goBack } from './non-finite.ts'
import { orderSeed } from './recover.ts'
import type { Run } from './run.ts'

export interface LoopOptions {
  readonly signal: AbortSignal
  readonly onSkip: (file: SkippedFile) => void
}

/**
 * Takes steps until the schedule ends or the signal is aborted. A non-finite step is skipped; after too many in a row the run rolls back and
 * continues in another order. Throws `NON_FINITE` if it cannot, and errors of the loader.
 */
export async function* takeSteps(
  run: Omit<Run, 'close'>,
  { signal, onSkip }: LoopOptions,
): AsyncGenerator<LoopEvent> {
  const { config, source, feed, recipe, trainee, state } = run
  let isLost = true
  while (isLost) {
    isLost = false
    state.inARow = 0
    const loader = openLoader({
      ...{ ...feed.loader, firstPosition: state.samples },
      ...{ seed: orderSeed(config.train.seed, state.rollbacks), onSkip },
    })
    try {
      const steps = train({
        ...{ trainee, loader, schedules: recipe.schedules, totalSteps: recipe.totalSteps, signal },
        toDeviceBatch: feed.toViews,
        accumulate: config.train.accumulate,
        firstStep: state.step,
        samples: source.files.length,
      })
      for await (const event of steps) {
        state.step = event.step
        state.samples = event.step * effectiveBatch(config)
        if (event.kind === 'step') {
          state.inARow = 0
          yield event
          continue
        }
        const inARow = ++state.inARow
        const skippedSteps = ++state.skippedSteps
        yield { ...event, message: describeTrouble(event), inARow, skippedSteps }
        if (inARow <= config.train.maxSkippedSteps) continue
        yield await goBack(run, event)
        isLost = true
        break
      }
    } finally {
      await loader.close()
    }
  }
}
