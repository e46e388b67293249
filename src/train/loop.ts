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
import type { StepResult } from './step.ts'
import { type BegunStep, openStepper, type Stepper } from './stepper.ts'
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
 * whether to continue. An event is yielded when its step is over and the next one has not begun to change anything.
 */
export async function* train<DeviceBatch, Plan>(
  options: TrainOptions<DeviceBatch, Plan>,
): AsyncGenerator<StepEvent | TroubleEvent, void, undefined> {
  const { trainee, totalSteps, signal } = options
  const { span = untimed } = trainee
  const stepper = openStepper(trainee)
  const held: { ahead: LoadedStep<DeviceBatch> | null } = { ahead: null }
  const isDue = (step: number) => step < totalSteps && !signal.aborted
  try {
    for (let step = options.firstStep; isDue(step); step++) {
      const event = await span('step', async () => {
        const started = seconds()
        const loaded = held.ahead ?? (await loadStep(stepper, step, options))
        held.ahead = null
        if (loaded === null) return null
        const read = loaded.open.finish()
        if (stepper.isAhead && isDue(step + 1)) held.ahead = await loadStep(stepper, step + 1, options)
        return eventOf(loaded, read(), seconds() - started)
      })
      if (event === null) return
      yield event
    }
  } finally {
    held.ahead?.open.abandon()
    stepper.dispose()
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

/** A step with its samples. */
interface LoadedStep<DeviceBatch> {
  readonly open: BegunStep<DeviceBatch>
  readonly step: number
  readonly value: Readonly<Record<string, number>>
  /** Of all ranks. */
  readonly images: number
  /** After it. */
  readonly epoch: number
  readonly dataWaitSeconds: number
}

/** Null if it was abandoned for lack of data; then nothing has changed. */
async function loadStep<DeviceBatch, Plan>(
  stepper: Stepper<DeviceBatch>,
  step: number,
  options: TrainOptions<DeviceBatch, Plan>,
): Promise<LoadedStep<DeviceBatch> | null> {
  const { trainee, toDeviceBatch, schedules, totalSteps, accumulate, samples } = options
  const { collective = alone, span = untimed } = trainee
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
  const when = { step, epoch, totalSteps, stepsPerEpoch: samples / images, seed: trainee.seed }
  const value = valuesAt(schedules, when)
  const open = stepper.begin({ step, epoch, value, parts: accumulate })
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
  return { open, step, value, images, epoch: ((step + 1) * images) / samples, dataWaitSeconds }
}

function eventOf<DeviceBatch>(
  { step, value, images, epoch, dataWaitSeconds }: LoadedStep<DeviceBatch>,
  { isFinite: isWhole, first, ...measured }: StepResult,
  stepSeconds: number,
): StepEvent | TroubleEvent {
  const event = { step: step + 1, learningRate: value.learningRate!, ...measured }
  if (!isWhole) return { kind: 'trouble', ...event, first }
  return {
    kind: 'step',
    ...event,
    ...{ schedules: value, epoch },
    ...{ imagesPerSecond: images / stepSeconds, stepSeconds, dataWaitSeconds },
  }
}
