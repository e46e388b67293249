/** A process that times steps of one batch, and tells its own peak memory. Started by preset-bench.ts. */
import { resolveConfig } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { answerOrder } from '../machine/own-process.ts'
import { median } from '../run/run-cost.ts'
import { openStepBench } from './step-bench.ts'

export interface StepOrder {
  readonly config: Config
  readonly batch: number
  /** Steps before those that are timed, and those. */
  readonly cold: number
  readonly steps: number
}

/** Steps of one batch. */
export interface Line {
  readonly batch: number
  /** The median. */
  readonly seconds: number
  /** The peak of the process. */
  readonly bytes: number
}

answerOrder<StepOrder, Line>(async ({ config, batch, cold, steps }) => {
  const train = { ...config.train, batchSize: batch, accumulate: 1 }
  const bench = await openStepBench(resolveConfig({ ...config, train } as Config))
  bench.run(Math.max(cold, bench.whyNotRecorded() === null ? bench.cold : 0))
  const { seconds, peakBytes } = bench.run(steps)
  return { batch, seconds: median(seconds), bytes: peakBytes }
})
