/**
 * How long a run takes, and how many steps fit into a time: arithmetic over parts that were measured. `sherd plan` measures them in a trial,
 * `pretrain --hours` in the run itself.
 */
import type { Config } from '../config/schema.ts'
import { expectedLook } from './early.ts'

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
  /** A loss curve. */
  readonly curve: number
}

/** Every how many steps; 0 for never. */
export interface Cadence {
  readonly checkpoint: number
  readonly picture: number
  readonly probe: number
  /** After which the first of each is made at the latest (early.ts); 0 for no early look. */
  readonly earlySeconds: number
}

export const cadenceOf = ({ checkpoint, log }: Pick<Config, 'checkpoint' | 'log'>): Cadence => ({
  earlySeconds: log.earlySeconds,
  checkpoint: checkpoint.everySteps,
  picture: log.pictureEverySteps,
  probe: log.probe === null ? 0 : log.probeEverySteps,
})

const sides = ['checkpoint', 'picture', 'probe'] as const

/** How often something is done after step `from` that is done every so many steps and after the last one. */
const times = (every: number, from: number, to: number): number =>
  every === 0 ? 0 : Math.ceil(to / every) - Math.floor(from / every)

/** Seconds between two loss curves of which one takes so long: drawing may take a hundredth of the time. */
export const betweenCurves = (took: number): number => Math.max(20, 100 * took)

export const secondsOfRun = (cost: RunCost, cadence: Cadence, steps: number): number =>
  cost.open + secondsLeft(cost, cadence, { from: 0, to: steps })

/** Seconds until the end at step `to` for a run that has taken `from` steps. */
export function secondsLeft(
  cost: Omit<RunCost, 'open'>,
  cadence: Cadence,
  { from, to }: { readonly from: number; readonly to: number },
): number {
  if (from >= to) return 0
  const look = expectedLook({ totalSteps: to, stepSeconds: cost.step, seconds: cadence.earlySeconds })
  const early = (every: number) => Number(from < look && look < Math.min(every, to))
  const beside = sides.map((side) => (times(cadence[side], from, to) + early(cadence[side])) * cost[side])
  const steps = (to - from) * cost.step
  const curves = Math.floor(steps / betweenCurves(cost.curve)) + 1
  return steps + beside.reduce((a, b) => a + b, 0) + curves * cost.curve
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

/**
 * Steps of a process that say little: memory is allocated, kernels are chosen. Batches that were decoded before the first step hide the
 * loader's pace: there are `ahead` of them.
 */
export const coldSteps = (ahead = 0): number => Math.max(3, ahead)

/** The time of a typical step: the median, for other programs make some steps slow; of the first ones only where there are no others. */
export const typicalStep = (seconds: readonly number[], ahead = 0): number =>
  median(seconds.slice(Math.min(coldSteps(ahead), seconds.length - 1)))

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
