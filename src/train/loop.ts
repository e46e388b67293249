/** The training loop: batches in, events out. Writes no files and prints nothing. */
import { alone } from '../collective/collective.ts'
import { SherdError } from '../errors.ts'
import type { ImageBatch } from '../objective/objective.ts'
import { type RecipeSchedules, valuesAt } from '../optim/schedule.ts'
import type { Batch, Loader } from '../prepare/loader/loader.ts'
import { describeNotFinite } from '../tensor/finite.ts'
import type { MaskPlan } from '../token/mask.ts'
import type { StepEvent, TroubleEvent } from './events.ts'
import { untimed } from './span.ts'
import { beginStep } from './step.ts'
import type { Trainee } from './trainee.ts'

export interface TrainOptions<DeviceBatch = ImageBatch, Plan = MaskPlan> {
  readonly trainee: Trainee<DeviceBatch, Plan>
  readonly loader: Pick<Loader, 'next'>
  /** Uploads and normalises a batch. Called inside a scope. */
  readonly toDeviceBatch: (batch: Batch) => DeviceBatch
  /** Learning rate, weight decay, and the objective's own; all are logged. */
  readonly schedules: RecipeSchedules
  readonly totalSteps: number
  readonly accumulate: number
  /** Steps taken before. */
  readonly firstStep: number
  /** Images in the data set, to count epochs. */
  readonly samples: number
  /** Aborting ends the loop after the current step, or at once if its data do not arrive. */
  readonly signal: AbortSignal
}

const seconds = () => performance.now() / 1000

// LibTorch blocks the thread for a whole step: without this signals would never be handled.
const breathe = () => new Promise<void>((resolve) => setImmediate(resolve))

/**
 * Trains until the schedule ends or the signal aborts. A non-finite step changes nothing and is yielded as `trouble`; the caller decides
 * whether to continue.
 */
export async function* train<DeviceBatch, Plan>(
  options: TrainOptions<DeviceBatch, Plan>,
): AsyncGenerator<StepEvent | TroubleEvent, void, undefined> {
  const { trainee, totalSteps, signal } = options
  const { span = untimed } = trainee
  for (let step = options.firstStep; step < totalSteps && !signal.aborted; step++) {
    const event = await span('step', () => takeStep(step, options))
    if (event === null) return
    yield event
  }
}

/** Wait for a batch after an abort, in ms. */
const LAST_BATCH = 2000

/** The next batch, or null after an abort without data: stalled data must not prevent a final checkpoint. */
async function nextBatch({ loader, signal }: Pick<TrainOptions, 'loader' | 'signal'>): Promise<Batch | null> {
  const batch = loader.next()
  batch.catch(() => {}) // avoids an unhandled rejection
  let timer: NodeJS.Timeout | undefined
  let giveUp = () => {}
  const stopped = new Promise<null>((resolve) => {
    giveUp = () => {
      timer = setTimeout(() => resolve(null), LAST_BATCH)
    }
    if (signal.aborted) giveUp()
    else signal.addEventListener('abort', giveUp, { once: true })
  })
  try {
    return await Promise.race([batch, stopped])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', giveUp)
  }
}

/** For callers without recovery. Throws `NON_FINITE` with step, learning rate and the first tensor. */
export function expectFinite(event: StepEvent | TroubleEvent): StepEvent {
  if (event.kind === 'step') return event
  throw new SherdError('NON_FINITE', describeTrouble(event))
}

export function describeTrouble({ step, learningRate, loss, gradientNorm, first }: TroubleEvent): string {
  const what = Number.isFinite(loss) ? `gradient norm ${gradientNorm}` : `loss ${loss}`
  const where = first ? `; first: ${describeNotFinite(first)}` : ''
  return `Step ${step} gave ${what} at learning rate ${learningRate.toPrecision(3)}${where}`
}

/** Null if it was abandoned for lack of data; then nothing has changed. */
async function takeStep<DeviceBatch, Plan>(
  step: number,
  options: TrainOptions<DeviceBatch, Plan>,
): Promise<StepEvent | TroubleEvent | null> {
  const { trainee, toDeviceBatch, schedules, totalSteps, accumulate, samples } = options
  const { collective = alone, span = untimed } = trainee
  const started = seconds()
  let dataWaitSeconds = 0
  const next = async () => {
    const asked = seconds()
    const batch = await span('data wait', () => nextBatch(options))
    dataWaitSeconds += seconds() - asked
    return batch
  }
  let batch = await next()
  if (batch === null) return null
  const images = batch.size * accumulate * collective.world
  const epoch = (step * images) / samples
  const value = valuesAt(schedules, { step, epoch, totalSteps, stepsPerEpoch: samples / images })
  const open = beginStep(trainee, { step, epoch, value, parts: accumulate })
  for (let part = 0; part < accumulate; part++) {
    if (part > 0) batch = await next()
    if (batch === null) {
      open.abandon()
      return null
    }
    const { epochs, indices } = batch
    const lent = batch
    open.add(() => ({ batch: toDeviceBatch(lent), samples: { epochs, indices } }))
    await breathe()
  }
  const { isFinite: isWhole, first, ...measured } = open.finish()
  const event = { step: step + 1, learningRate: value.learningRate!, ...measured }
  if (!isWhole) return { kind: 'trouble', ...event, first }
  const stepSeconds = seconds() - started
  return {
    kind: 'step',
    ...event,
    ...{ schedules: value, epoch: ((step + 1) * images) / samples },
    ...{ imagesPerSecond: images / stepSeconds, stepSeconds, dataWaitSeconds },
  }
}
