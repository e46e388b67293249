/** The training loop: batches in, events out. It knows no files and no terminal. */
import { SherdError } from '../errors.ts'
import { learningRateAt, type Schedule } from '../optim/schedule.ts'
import type { Batch, Loader } from '../prepare/loader.ts'
import { clearGradients } from '../tensor/context.ts'
import type { MaskPlan } from '../token/mask.ts'
import type { StepEvent } from './events.ts'
import { untimed } from './span.ts'
import {
  accumulateGradients,
  applyUpdate,
  type MicroBatch,
  type Trainee,
  type UpdateOptions,
} from './step.ts'

export interface TrainOptions<Plan = MaskPlan> {
  readonly trainee: Trainee<Plan>
  readonly loader: Pick<Loader, 'next'>
  /** Uploads and normalises a batch and plans its mask, or what is asked of it. Called inside a scope. */
  readonly toMicroBatch: (batch: Batch) => MicroBatch<Plan>
  readonly schedule: Schedule
  readonly update: Omit<UpdateOptions, 'learningRate'>
  readonly accumulate: number
  /** Steps that were taken before. */
  readonly firstStep: number
  /** Images in the data set, to count epochs. */
  readonly samples: number
  /** Aborting it ends the loop after the step that is running. */
  readonly signal: AbortSignal
}

const seconds = () => performance.now() / 1000

// LibTorch blocks the thread for a whole step; without this, Ctrl-C would never be heard.
const breathe = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Trains until the schedule ends or the signal aborts. Throws `NON_FINITE` with step and learning rate. */
export async function* train<Plan>(options: TrainOptions<Plan>): AsyncGenerator<StepEvent> {
  const { trainee, schedule, signal } = options
  const { span = untimed } = trainee
  for (let step = options.firstStep; step < schedule.totalSteps && !signal.aborted; step++)
    yield await span('step', () => takeStep(step, options))
}

async function takeStep<Plan>(step: number, options: TrainOptions<Plan>): Promise<StepEvent> {
  const { trainee, loader, toMicroBatch, schedule, update, accumulate, samples } = options
  const { span = untimed } = trainee
  const started = seconds()
  const learningRate = learningRateAt(step, schedule)
  let loss = 0
  let images = 0
  let dataWaitSeconds = 0
  clearGradients(trainee.parameters.values())
  for (let part = 0; part < accumulate; part++) {
    const asked = seconds()
    const batch = await span('data wait', () => loader.next())
    dataWaitSeconds += seconds() - asked
    loss += accumulateGradients(trainee, () => toMicroBatch(batch), accumulate) / accumulate
    images += batch.size
    await breathe()
  }
  const gradientNorm = Number.isFinite(loss)
    ? span('optimizer', () => applyUpdate(trainee, { ...update, learningRate }))
    : Number.NaN
  if (!Number.isFinite(gradientNorm)) {
    const what = Number.isFinite(loss) ? `gradient norm ${gradientNorm}` : `loss ${loss}`
    throw new SherdError(
      'NON_FINITE',
      `Step ${step + 1} gave ${what} at learning rate ${learningRate.toPrecision(3)}`,
    )
  }
  const stepSeconds = seconds() - started
  return {
    kind: 'step',
    step: step + 1,
    epoch: ((step + 1) * images) / samples,
    loss,
    learningRate,
    gradientNorm,
    imagesPerSecond: images / stepSeconds,
    stepSeconds,
    dataWaitSeconds,
  }
}
