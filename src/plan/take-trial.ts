/**
 * A trial: a short run of a configuration on its data, by the loop and the consumers of one: steps, the early look (a checkpoint, a picture, a
 * probe, a loss curve), a few steps more, the end. Tells what an hour of it is worth, and its memory. Call it in a process of its own (trial.ts), whose peak memory is then the run's.
 */
import { openData, sampleSize } from '../config/assemble.ts'
import { effectiveBatch, resolveConfig } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { peakResidentBytes } from '../machine/memory.ts'
import type { MachinePlan } from '../machine/plan.ts'
import { measureStatistics } from '../prepare/statistics.ts'
import { openConsumers } from '../run/consumers/all.ts'
import { drawLosses } from '../run/consumers/loss-curve.ts'
import { takeSteps } from '../run/loop.ts'
import { openPretraining } from '../run/open.ts'
import { stepsAhead } from '../run/pace.ts'
import type { Run } from '../run/run.ts'
import { coldSteps, type RunCost, typicalStep } from '../run/run-cost.ts'

export interface TrialRequest {
  readonly config: Config
  readonly preset: string
  readonly data: string
  /** A folder that does not exist; what is written there is for the caller to remove. */
  readonly out: string
  /** How long steps are timed, at least; a few are taken in any case. */
  readonly seconds: number
  /** At most this much of a checkpoint is written; a larger one is computed. */
  readonly mostCheckpointBytes: number
}

export interface Trial {
  readonly machine: MachinePlan
  /** Images of a step. */
  readonly batch: number
  readonly cost: RunCost
  /** Steps that were timed. */
  readonly steps: number
  /** Share of the steps' time that went by waiting for decoded images. */
  readonly dataWait: number
  /** Peak resident set of the process. */
  readonly peakBytes: number
}

/** Micro-batches of a trial's step: with more, a step takes that many times as long, and no other memory. */
const mostAccumulated = 2
/** After those whose batches were decoded before. */
const FEWEST_STEPS = 5
/** After the early look, which they find the memory as a run does. */
const STEPS_AFTER = 2
/** No trial takes much longer; of the slowest models a few steps must do. */
const LONGEST = 3 // times `seconds`
/** Images whose reading tells how long measuring the statistics takes. */
const STATISTICS_READ = 200
/** Of which a run reads at most so many (prepare/statistics.ts). */
const STATISTICS_OF_RUN = 5000
/** Where none was written: bytes a second of a slow disk. */
const SLOW_DISK = 100e6

const now = () => performance.now() / 1000

/** The configuration of a trial: endless, with the usual statistics, which need no reading. */
export function trialConfig(config: Config): Config {
  const { accumulate } = config.train
  return resolveConfig({
    ...config,
    data: { ...config.data, ...(config.data.kind === 'images' && { statistics: 'imagenet' }) },
    train: { ...config.train, steps: 1_000_000, accumulate: Math.min(accumulate, mostAccumulated) },
  } as Config)
}

/** Errors are those of `pretrain`. */
export async function takeTrial(
  request: TrialRequest,
  onStep: (steps: number) => void = () => {},
): Promise<Trial> {
  const { preset, data, out, seconds } = request
  const config = trialConfig(request.config)
  const statistics = await timeOfStatistics(request.config, data)
  const run = await openPretraining({ config, preset, data, out })
  try {
    const ahead = coldSteps(stepsAhead(config))
    const bytes = bytesOfCheckpoint(run)
    const saves = bytes <= request.mostCheckpointBytes
    let lookAt = Number.POSITIVE_INFINITY
    const { consumers, pace, onSkip } = openConsumers(run, { saves, isEarly: (step) => step === lookAt })
    const times: number[] = []
    const waits: number[] = []
    let [last, firstTimed] = [now(), now()]
    for await (const event of takeSteps(run, { signal: new AbortController().signal, onSkip })) {
      if (event.kind === 'step' && event.step < lookAt) {
        const at = now()
        times.push(at - last)
        waits.push(event.dataWaitSeconds)
        last = at
        if (times.length === ahead) firstTimed = at
        onStep(times.length)
        const timed = times.length - ahead
        const spent = at - firstTimed
        const isEnough = spent >= LONGEST * seconds || (timed >= FEWEST_STEPS && spent >= seconds)
        if (timed > 0 && isEnough) lookAt = event.step
      }
      for (const consumer of consumers) await consumer.on?.(event)
      if (run.state.step === lookAt + STEPS_AFTER) break
    }
    const step = typicalStep(times, ahead)
    // performance.now() counts from the start of the process: all that the first steps took beyond their usual time is the opening.
    const open = firstTimed - statistics.spent - Math.min(ahead, times.length) * step
    for (const consumer of consumers) await consumer.end?.()
    const { picture, probe, checkpoint } = pace.cost()!
    return {
      ...{ machine: run.machine, batch: effectiveBatch(config), steps: times.length - ahead },
      dataWait: sum(waits.slice(ahead)) / sum(times.slice(ahead)),
      cost: {
        ...{ step, picture, probe, checkpoint: saves ? checkpoint : bytes / SLOW_DISK },
        curve: await timed(() => drawLosses(run).end?.()),
        open: Math.max(0, open) + statistics.ofRun,
      },
      peakBytes: peakResidentBytes(),
    }
  } finally {
    run.close()
  }
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0)

async function timed(body: () => unknown): Promise<number> {
  const started = now()
  await body()
  return now() - started
}

/** Weights and two moments of each, in float32. */
const bytesOfCheckpoint = ({ state }: Run): number =>
  12 * sum([...state.parameters.values()].map(({ shape }) => shape.reduce((a, b) => a * b, 1)))

/** What a run takes before its first step to measure the statistics of its images, and what finding out took. */
async function timeOfStatistics(config: Config, data: string): Promise<{ spent: number; ofRun: number }> {
  if (config.data.kind !== 'images' || config.data.statistics !== 'dataset') return { spent: 0, ofRun: 0 }
  const source = await openData(config, data)
  const read = Math.min(STATISTICS_READ, source.files.length)
  const spent = await timed(() => measureStatistics(source, { ...sampleSize(config), maxSamples: read }))
  return { spent, ofRun: (spent * Math.min(STATISTICS_OF_RUN, source.files.length)) / read }
}
