/** The training loop: batches in, events out. It knows no files and no terminal. */
import { SherdError } from '../errors.ts'
import { learningRateAt, type WarmupCosine } from '../optim/schedule.ts'
import type { UpdateOptions } from '../optim/update.ts'
import type { Batch, Loader } from '../prepare/loader/loader.ts'
import { clearGradients } from '../tensor/context.ts'
import { describeNotFinite, type NotFinite } from '../tensor/finite.ts'
import type { MaskPlan } from '../token/mask.ts'
import type { StepEvent, TroubleEvent } from './events.ts'
import { untimed } from './span.ts'
import { accumulateGradients, applyUpdate, type MicroBatch, type Trainee } from './step.ts'
import { traceGradients, traceLoss } from './trouble.ts'

export interface TrainOptions<Plan = MaskPlan> {
  readonly trainee: Trainee<Plan>
  readonly loader: Pick<Loader, 'next'>
  /** Uploads and normalises a batch and plans its mask, or what is asked of it. Called inside a scope. */
  readonly toMicroBatch: (batch: Batch) => MicroBatch<Plan>
  readonly schedule: WarmupCosine
  readonly update: Omit<UpdateOptions, 'learningRate' | 'step' | 'epoch'>
  readonly accumulate: number
  /** Steps that were taken before. */
  readonly firstStep: number
  /** Images in the data set, to count epochs. */
  readonly samples: number
  /** Aborting it ends the loop after the step that is running, or without it when its data do not come. */
  readonly signal: AbortSignal
}

const seconds = () => performance.now() / 1000

// LibTorch blocks the thread for a whole step; without this, Ctrl-C would never be heard.
const breathe = () => new Promise<void>((resolve) => setImmediate(resolve))

/**
 * Trains until the schedule ends or the signal aborts. A step that is not finite changes nothing and is told; whether to go on
 * is for whoever listens.
 */
export async function* train<Plan>(
  options: TrainOptions<Plan>,
): AsyncGenerator<StepEvent | TroubleEvent, void, undefined> {
  const { trainee, schedule, signal } = options
  const { span = untimed } = trainee
  for (let step = options.firstStep; step < schedule.totalSteps && !signal.aborted; step++) {
    const event = await span('step', () => takeStep(step, options))
    if (event === null) return
    yield event
  }
}

/** How long a batch may still take when the loop was asked to end, in milliseconds. */
const LAST_BATCH = 2000

/** The next batch, or null when the signal is aborted and none comes: data that never arrive must not keep a run from being saved. */
async function nextBatch({ loader, signal }: Pick<TrainOptions, 'loader' | 'signal'>): Promise<Batch | null> {
  const batch = loader.next()
  batch.catch(() => {}) // it may fail when nobody waits any more
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

/** For whoever cannot go on from such a step. Throws `NON_FINITE` with step, learning rate and the first tensor. */
export function expectFinite(event: StepEvent | TroubleEvent): StepEvent {
  if (event.kind === 'step') return event
  throw new SherdError('NON_FINITE', describeTrouble(event))
}

/** What happened, in one line. */
export function describeTrouble({ step, learningRate, loss, gradientNorm, first }: TroubleEvent): string {
  const what = Number.isFinite(loss) ? `gradient norm ${gradientNorm}` : `loss ${loss}`
  const where = first ? `; first: ${describeNotFinite(first)}` : ''
  return `Step ${step} gave ${what} at learning rate ${learningRate.toPrecision(3)}${where}`
}

/** Null when it was given up because no data came; then nothing has changed. */
async function takeStep<Plan>(
  step: number,
  options: TrainOptions<Plan>,
): Promise<StepEvent | TroubleEvent | null> {
  const { trainee, toMicroBatch, schedule, update, accumulate, samples } = options
  const { span = untimed } = trainee
  const started = seconds()
  const learningRate = learningRateAt(step, schedule)
  let loss = 0
  let images = 0
  let dataWaitSeconds = 0
  let first: NotFinite | null = null
  clearGradients(trainee.parameters.values())
  for (let part = 0; part < accumulate; part++) {
    const asked = seconds()
    const batch = await span('data wait', () => nextBatch(options))
    if (batch === null) return null
    dataWaitSeconds += seconds() - asked
    const make = () => toMicroBatch(batch)
    if (Number.isFinite(loss)) {
      loss += accumulateGradients(trainee, make, accumulate) / accumulate
      if (!Number.isFinite(loss)) first = traceLoss(trainee, make)
    } // else the step is lost, and its images are spent all the same
    images += batch.size
    await breathe()
  }
  const gradientNorm = Number.isFinite(loss)
    ? span('optimizer', () =>
        applyUpdate(trainee, { ...update, learningRate, step, epoch: (step * images) / samples }),
      )
    : Number.NaN
  const told = { step: step + 1, loss, learningRate, gradientNorm }
  if (!Number.isFinite(gradientNorm))
    return { kind: 'trouble', ...told, first: first ?? traceGradients(trainee) }
  const stepSeconds = seconds() - started
  return {
    kind: 'step',
    ...told,
    epoch: ((step + 1) * images) / samples,
    imagesPerSecond: images / stepSeconds,
    stepSeconds,
    dataWaitSeconds,
  }
}
