/** Measures the models that a plan chooses from: only as many as the choice depends on, for a trial takes half a minute. */
import { SherdError } from '../errors.ts'
import { accumulated, type Choice, type Costed, choose, fits, type Given } from './choose.ts'
import { configOf, type Rung } from './ladder.ts'
import type { Trial, TrialRequest } from './take-trial.ts'

export interface Measured {
  readonly trial: Trial
  /** Of the trial's micro-batch, halved where memory made it so. */
  readonly microBatch: number
}

export interface Field {
  readonly rungs: readonly Rung[]
  /** What was found of each; null where it was not measured. */
  readonly measured: readonly (Measured | null)[]
  readonly costed: readonly Costed[]
  readonly choice: Choice
}

export type TakeTrial = (request: Omit<TrialRequest, 'out'>) => Promise<Trial>

export interface MeasureOptions extends Given {
  readonly data: string
  /** Assignments of the run for all models. */
  readonly set: readonly string[]
  /** Of the chosen one besides: the probe, which can take longer than all trials. */
  readonly probe: readonly string[]
  readonly trialSeconds: number
  readonly take: TakeTrial
  /** Called before each trial. */
  readonly onTrial: (rung: Rung) => void
}

/** Weights, their gradients and two moments in float32, and the process itself. */
const leastMemory = (parameters: number): number => 16 * parameters + 200e6
const SMALLEST_BATCH = 8
/** A model whose step is expected to take longer is not tried only to be named as an alternative. */
const PATIENCE = 12 // seconds
/** Of a checkpoint; what is larger is computed. */
const MOST_CHECKPOINT = 400e6

const isOutOfMemory = (error: unknown) =>
  error instanceof SherdError && /SIGKILL|out of memory|not enough memory|can't allocate/i.test(error.message)

/** Throws the errors of `pretrain`, and `VALUE` when no model fits into the memory. */
export async function measureLadder(rungs: readonly Rung[], options: MeasureOptions): Promise<Field> {
  const { available, images } = options
  const measured: (Measured | null)[] = rungs.map(() => null)
  const tooLarge = new Set<number>()
  const probed = new Set<number>()
  /** What is above one that does not fit does not, either. */
  const isTooLarge = (i: number) => [...tooLarge].some((at) => at <= i)
  /** Unmeasured ones are expected to compute as fast as the measured one of the nearest cost. */
  const costed = (): Costed[] =>
    rungs.map((rung, i) => {
      const own = measured[i]
      if (own)
        return {
          ...rung,
          imagesPerSecond: own.trial.batch / own.trial.cost.step,
          memory: own.trial.peakBytes,
        }
      const nearest = nearestMeasured(i, measured)
      const rate = nearest === null ? 1 : measured[nearest]!.trial.batch / measured[nearest]!.trial.cost.step
      const least = leastMemory(rung.parameters)
      return {
        ...rung,
        imagesPerSecond: nearest === null ? 1 : (rate * rungs[nearest]!.flops) / rung.flops,
        memory: isTooLarge(i) || !fits({ memory: least }, available) ? Math.max(least, available) : null,
      }
    })
  const measure = async (i: number): Promise<void> => {
    const rung = rungs[i]!
    options.onTrial(rung)
    const isProbed = measured[i] !== null || rungs.length === 1
    if (isProbed) probed.add(i)
    const seen = costed()[i]!.imagesPerSecond * options.seconds
    for (let microBatch = Math.min(rung.microBatch, images); ; microBatch = Math.floor(microBatch / 2)) {
      const parts = accumulated(seen, { microBatch, images })
      const own = [
        ...options.set,
        ...(isProbed ? options.probe : []),
        `train.batchSize=${microBatch}`,
        `train.accumulate=${parts}`,
      ]
      const request = {
        ...{ config: configOf(rung, own), preset: rung.preset, data: options.data },
        ...{ seconds: options.trialSeconds, mostCheckpointBytes: MOST_CHECKPOINT },
      }
      const isLast = microBatch <= SMALLEST_BATCH
      const trial = await options.take(request).catch((error: unknown) => {
        if (!isOutOfMemory(error)) throw error
        return null
      })
      if (trial && fits({ memory: trial.peakBytes }, available)) {
        measured[i] = { trial, microBatch }
        return
      }
      if (isLast) {
        measured[i] = null
        tooLarge.add(i)
        return
      }
    }
  }
  const isOpen = (i: number) => rungs[i] !== undefined && measured[i] === null && !tooLarge.has(i)
  await measure(Math.min(1, rungs.length - 1))
  for (;;) {
    const now = costed()
    const choice = choose(now, options)
    if (!choice) throw tooLittleMemory(available)
    const { chosen } = choice
    const [faster, larger] = [chosen - 1, chosen + 1]
    if (isOpen(chosen)) await measure(chosen)
    else if (isOpen(faster)) await measure(faster)
    else if (
      isOpen(larger) &&
      now[larger]!.memory === null &&
      trialStep(rungs[larger]!, now[larger]!) <= PATIENCE
    )
      await measure(larger)
    else if (options.probe.length > 0 && !probed.has(chosen)) await measure(chosen)
    else return { rungs, measured, costed: now, choice }
  }
}

const trialStep = ({ microBatch }: Rung, { imagesPerSecond }: Costed) => microBatch / imagesPerSecond

function nearestMeasured(i: number, measured: readonly (Measured | null)[]): number | null {
  const there = [...measured.keys()].filter((at) => measured[at] !== null)
  return there.length === 0 ? null : there.reduce((a, b) => (Math.abs(b - i) < Math.abs(a - i) ? b : a))
}

const tooLittleMemory = (available: number) =>
  new SherdError(
    'VALUE',
    `Not even the smallest model fits into the ${(available / 1e9).toFixed(1)} GB of memory that are free. End other programs, or take a larger machine.`,
  )
