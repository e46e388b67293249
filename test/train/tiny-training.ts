/** A whole training of the tiny model on pixels made up here: what the loop needs and nothing from disk. */
import { initialParameters, type Parameters } from '../../src/model/parameters.ts'
import type { MaskedObjective } from '../../src/objective/masked.ts'
import type { Objective } from '../../src/objective/objective.ts'
import { disposeState, initialState } from '../../src/optim/optimizer.ts'
import { optimizerOf } from '../../src/optim/optimizers.ts'
import type { Batch, Loader } from '../../src/prepare/loader/loader.ts'
import { toViews } from '../../src/prepare/upload.ts'
import type { Device } from '../../src/tensor/tensor.ts'
import type { StepEvent } from '../../src/train/events.ts'
import { expectFinite, type TrainOptions, train } from '../../src/train/loop.ts'
import { beginStep, type StepResult } from '../../src/train/step.ts'
import type { Precision, Sampled, Trainee } from '../../src/train/trainee.ts'
import { tinyMae } from '../model/tiny-model.ts'
import { wave } from '../tolerance.ts'

const [H, W, C] = [6, 10, 3]

/** Batches of `size` of `samples` images in order, from position `first` on; smooth images, so that there is something to learn. */
export function tinyLoader(size: number, samples = 16, first = 0): Pick<Loader, 'next'> {
  let position = first
  return {
    next: async (): Promise<Batch> => {
      const positions = Array.from({ length: size }, () => position++)
      const pixels = positions.flatMap((p) => {
        const [a, b, c] = wave(3, p % samples) as [number, number, number]
        return Array.from({ length: H * W * C }, (_, i) => {
          const [x, y] = [Math.floor(i / C) % W, Math.floor(i / C / W)]
          return 128 + 60 * Math.sin(a * x + b * y + (i % C)) + 40 * c
        })
      })
      return {
        fields: { image: { data: Uint8Array.from(pixels), shape: [1, size, H, W, C] } },
        epochs: Int32Array.from(positions, (p) => Math.floor(p / samples)),
        indices: Int32Array.from(positions, (p) => p % samples),
        labels: null,
        size,
      }
    },
  }
}

export interface TinyTrainee extends Trainee {
  readonly objective: MaskedObjective
}

const adamWOptions = { optimizer: 'adamw', beta1: 0.9, beta2: 0.95, epsilon: 1e-8 } as const

export function tinyTrainee(seed = 5, precision: Precision = 'float32', device: Device = 'cpu'): TinyTrainee {
  const objective = tinyMae({ device })
  const parameters = initialParameters(objective.rows, { seed, device })
  const optimizer = optimizerOf(adamWOptions)
  return {
    ...{ objective, parameters, optimizer, state: initialState(optimizer, parameters) },
    ...{ groups: [], clip: null, seed, device, precision },
  }
}

/** Normalised images, as a run makes them. */
const statistics = { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] }
const views = { image: { kind: 'crop', count: 1, size: [H, W] } } as const
export const toDeviceBatch = (batch: Batch) => toViews(batch, views, { statistics, device: 'cpu' })

export const ratesOf = (learningRate: number, weightDecay = 0.05) => ({ learningRate, weightDecay })
const constant = (value: number) => ({ kind: 'constant', value }) as const
export const constantRate = (learningRate: number) => ({
  learningRate: constant(learningRate),
  weightDecay: constant(0.05),
})

export const tinyOptions = (trainee: TinyTrainee, options: Partial<TrainOptions> = {}): TrainOptions => ({
  ...{ trainee, loader: tinyLoader(8), toDeviceBatch },
  schedules: {
    learningRate: { kind: 'cosine', from: 0.01, to: 0, warmup: 2 },
    weightDecay: constant(0.05),
  },
  ...{ totalSteps: 10, accumulate: 1, firstStep: 0, samples: 16 },
  signal: new AbortController().signal,
  ...options,
})

/** Runs the loop to its end. */
export async function trainAll(options: TrainOptions): Promise<StepEvent[]> {
  const events: StepEvent[] = []
  for await (const event of train(options)) events.push(expectFinite(event))
  return events
}

export interface Collecting<Batch>
  extends Partial<Pick<Trainee, 'precision' | 'kernels' | 'recompute' | 'device'>> {
  readonly micro: readonly (() => Sampled<Batch>)[]
  readonly seed?: number
}

/** A step of rate 0: the gradients stay with the parameters, which may be reached or not. */
export function collectGradients<Batch, Plan>(
  objective: Objective<Batch, Plan>,
  parameters: Parameters,
  { micro, seed = 1, precision = 'float32', device = 'cpu', ...how }: Collecting<Batch>,
): StepResult {
  const optimizer = optimizerOf({ optimizer: 'sgd', momentum: 0 })
  const state = initialState(optimizer, parameters)
  const open = beginStep<Batch, Plan>(
    {
      ...{ parameters, optimizer, state, groups: [], clip: null },
      ...{ objective: { ...objective, unreached: () => true }, seed, precision, device, ...how },
    },
    { step: 0, epoch: 0, value: ratesOf(0, 0), parts: micro.length },
  )
  for (const make of micro) open.add(make)
  try {
    return open.finish()
  } finally {
    disposeState(state)
  }
}
