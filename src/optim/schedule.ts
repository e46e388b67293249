/**
 * Schedules as data: learning rate, weight decay, a teacher's momentum or temperature. A value is a pure function of the position in the
 * run, so that resuming does not change it. The kinds cover MAE, MoCo v3, DINO, iBOT and DINOv2 (`cosine_scheduler`, `CosineScheduler`,
 * `adjust_learning_rate`).
 */

import { draws } from '../random/draws.ts'

/** The position in a run before a step. */
export interface When {
  /** Steps before this one: 0 at the first. */
  readonly step: number
  /** Passes over the data before this step, fractional. */
  readonly epoch: number
  readonly stepsPerEpoch: number
  /** Of the whole run. */
  readonly totalSteps: number
  /** Of the run, for what is drawn; default 0. */
  readonly seed?: number
}

/** Steps, or epochs. */
export type Duration = number | { readonly epochs: number }

/** When a ramp over n steps reaches its end: at its `last` step (NumPy's `linspace`, both ends included), or at the step `after` it. */
export type Arrival = 'last' | 'after'

export interface CosineSchedule {
  readonly kind: 'cosine'
  /** The value after the warm-up. */
  readonly from: number
  /** The value at the step after the last. */
  readonly to: number
  /** Linear from `start` to `from`; default 0: none. */
  readonly warmup?: Duration
  /** Default 0. */
  readonly start?: number
  /** Of the warm-up; default `after`. With `last`, `from` appears twice, as in DINO. */
  readonly arrival?: Arrival
  /** From the first step to the end of the cosine; default the whole run. */
  readonly total?: Duration
}

export interface LinearSchedule {
  readonly kind: 'linear'
  readonly from: number
  readonly to: number
  /** Default: the whole run. */
  readonly over?: Duration
  /** Stays at `from` first; default 0. */
  readonly delay?: Duration
  /** Default `after`. */
  readonly arrival?: Arrival
  /** Changes at every step, or once per epoch (`over` and `delay` are then in epochs). Default step. */
  readonly by?: 'step' | 'epoch'
}

export type Schedule =
  | { readonly kind: 'constant'; readonly value: number }
  | CosineSchedule
  | LinearSchedule
  /** Drawn for each step, at its own address. */
  | { readonly kind: 'uniform'; readonly from: number; readonly to: number }
  /** values[i] holds until at[i], the last one to the end. */
  | { readonly kind: 'steps'; readonly values: readonly number[]; readonly at: readonly Duration[] }

/** Whether a duration from the start of the run has passed. Epochs are counted in samples, so they may end within a step. */
export const hasPassed = (duration: Duration, { step, epoch }: Pick<When, 'step' | 'epoch'>): boolean =>
  typeof duration === 'number' ? step >= duration : epoch >= duration.epochs

const inSteps = (duration: Duration, { stepsPerEpoch }: When): number =>
  typeof duration === 'number' ? duration : duration.epochs * stepsPerEpoch

const inEpochs = (duration: Duration, { stepsPerEpoch }: When): number =>
  typeof duration === 'number' ? duration / stepsPerEpoch : duration.epochs

/** Value `i` of a ramp over n values. */
const ramp = (
  i: number,
  n: number,
  { from, to, arrival = 'after' }: { from: number; to: number; arrival?: Arrival },
) => from + ((to - from) * i) / (arrival === 'last' ? Math.max(1, n - 1) : n)

function cosineAt(schedule: CosineSchedule, when: When): number {
  const { from, to, warmup = 0, start = 0, arrival, total } = schedule
  const before = inSteps(warmup, when)
  if (when.step < before)
    return ramp(when.step, before, { from: start, to: from, ...(arrival && { arrival }) })
  const end = total === undefined ? when.totalSteps : inSteps(total, when)
  const progress = (when.step - before) / Math.max(1e-9, end - before)
  return to + (from - to) * 0.5 * (1 + Math.cos(Math.PI * Math.min(1, progress)))
}

function linearAt(schedule: LinearSchedule, when: When): number {
  const { from, to, over = when.totalSteps, delay = 0, by = 'step' } = schedule
  const [unit, here] = by === 'step' ? [inSteps, when.step] : [inEpochs, Math.floor(when.epoch)]
  const [place, count] = [here - unit(delay, when), unit(over, when)]
  if (place <= 0) return from
  return place < count ? ramp(place, count, schedule) : to
}

/** The value before the step at `when`. */
export function valueAt(schedule: Schedule, when: When): number {
  switch (schedule.kind) {
    case 'constant':
      return schedule.value
    case 'cosine':
      return cosineAt(schedule, when)
    case 'linear':
      return linearAt(schedule, when)
    case 'uniform': {
      const address = { seed: when.seed ?? 0, stream: 'schedule', epoch: 0, index: when.step }
      return schedule.from + (schedule.to - schedule.from) * draws(address).uniform()
    }
    case 'steps':
      return schedule.values[schedule.at.filter((each) => hasPassed(each, when)).length]!
    default:
      return schedule satisfies never
  }
}

/** Linear warm-up from 0, then half a cosine (He et al. 2021, A.1). */
export interface WarmupCosine {
  readonly peak: number
  /** The rate at the end of the cosine. */
  readonly floor: number
  readonly warmupSteps: number
  readonly totalSteps: number
}

/** `step` = 0, 1, …; the first step of a warm-up has rate 0, as in the reference. */
export const learningRateAt = (
  step: number,
  { peak, floor, warmupSteps, totalSteps }: WarmupCosine,
): number =>
  valueAt(
    { kind: 'cosine', from: peak, to: floor, warmup: warmupSteps },
    { step, epoch: 0, stepsPerEpoch: 1, totalSteps },
  )

/** Scaling of the base learning rate with the effective batch size. */
export const rateScalings = {
  /** base · batch / 256 (Goyal et al. 2017): MAE, DINO, iBOT, MoCo v3 */
  linear: (base: number, effectiveBatch: number): number => (base * effectiveBatch) / 256,
  /** base · √(batch / 1024): DINOv2 */
  root: (base: number, effectiveBatch: number): number => base * Math.sqrt(effectiveBatch / 1024),
  none: (base: number): number => base,
} as const

export const scaledLearningRate = rateScalings.linear

/** Schedules of every recipe. */
export type RecipeSchedules = Readonly<Record<'learningRate' | 'weightDecay', Schedule>> &
  Readonly<Record<string, Schedule>>

/** Values of all schedules before the step at `when`. */
export const valuesAt = <Name extends string>(
  schedules: Readonly<Record<Name, Schedule>>,
  when: When,
): Readonly<Record<Name, number>> =>
  Object.fromEntries(
    Object.entries<Schedule>(schedules).map(([name, each]) => [name, valueAt(each, when)]),
  ) as Record<Name, number>
