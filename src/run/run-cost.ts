/**
 * How long a run takes, and how many steps fit into a time: arithmetic over parts that were measured. `sherd plan` measures them in a trial,
 * `pretrain --hours` in the run itself.
 */
import type { Config } from '../config/schema.ts'

/** Seconds of each part of a run. */
export interface RunCost {
  /** From the start of the process to the first step. */
  readonly open: number
  /** A whole step with its wait for data, typically. */
  readonly step: number
  readonly checkpoint: number
  readonly picture: number
  /** 0 without a probe. */
  readonly probe: number
  /** What the end takes beside a checkpoint, a picture and a probe. */
  readonly end: number
}

/** Every how many steps; 0 for never. */
export interface Cadence {
  readonly checkpoint: number
  readonly picture: number
  readonly probe: number
}

export const cadenceOf = ({ checkpoint, log }: Pick<Config, 'checkpoint' | 'log'>): Cadence => ({
  checkpoint: checkpoint.everySteps,
  picture: log.pictureEverySteps,
  probe: log.probe === null ? 0 : log.probeEverySteps,
})

const sides = ['checkpoint', 'picture', 'probe'] as const

/** How often something is done that is done every so many steps and after the last one. */
const times = (every: number, steps: number): number => (every === 0 ? 0 : Math.ceil(steps / every))

export function secondsOfRun(cost: RunCost, cadence: Cadence, steps: number): number {
  const beside = sides.map((side) => times(cadence[side], steps) * cost[side])
  return cost.open + steps * cost.step + beside.reduce((a, b) => a + b, 0) + cost.end
}

/** The most steps that end within `seconds`; 0 when not even one does. */
export function stepsWithin(cost: RunCost, cadence: Cadence, seconds: number): number {
  let [fits, tooMany] = [0, Math.max(1, Math.floor(seconds / Math.max(cost.step, 1e-6)) + 1)]
  if (secondsOfRun(cost, cadence, 1) > seconds) return 0
  while (tooMany - fits > 1) {
    const middle = Math.floor((fits + tooMany) / 2)
    if (secondsOfRun(cost, cadence, middle) <= seconds) fits = middle
    else tooMany = middle
  }
  return fits
}

/** Steps of a process that are slower than those that follow: memory is allocated, kernels are chosen. */
const COLD_STEPS = 3

/**
 * The time of a typical step: the median, for other programs make some steps slow; of the first ones only where there are no others. Batches
 * that were decoded before the first step hide the loader's pace: leave them out with `ahead`.
 */
export function typicalStep(seconds: readonly number[], ahead = 0): number {
  const warm = seconds.slice(Math.min(Math.max(COLD_STEPS, ahead), seconds.length - 1))
  const sorted = [...warm].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
