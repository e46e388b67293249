/** A whole training of the tiny model on pixels made up here: what the loop needs and nothing from disk. */
import { initialParameters } from '../../src/model/parameters.ts'
import type { Objective } from '../../src/objective/objective.ts'
import { initialState } from '../../src/optim/optimizer.ts'
import { updateOf } from '../../src/optim/update.ts'
import type { Batch, Loader } from '../../src/prepare/loader/loader.ts'
import { normalizePixels } from '../../src/prepare/normalize.ts'
import type { StepEvent } from '../../src/train/events.ts'
import { expectFinite, type TrainOptions, train } from '../../src/train/loop.ts'
import type { MicroBatch, Precision, Trainee } from '../../src/train/step.ts'
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
        pixels: Uint8Array.from(pixels),
        shape: [size, H, W, C],
        epochs: Int32Array.from(positions, (p) => Math.floor(p / samples)),
        indices: Int32Array.from(positions, (p) => p % samples),
        labels: null,
        height: H,
        width: W,
        channels: C,
        size,
      }
    },
  }
}

export interface TinyTrainee extends Trainee {
  readonly objective: Objective
}

export function tinyTrainee(seed = 5, precision: Precision = 'float32'): TinyTrainee {
  const objective = tinyMae()
  const parameters = initialParameters(objective.rows, { seed, device: 'cpu' })
  const optimizer = initialState(adamW.optimizer, parameters)
  return { objective, parameters, optimizer, device: 'cpu', precision }
}

/** Normalised images and a mask, as a run makes them. */
export const toMicroBatch =
  ({ objective }: TinyTrainee, seed = 5) =>
  ({ pixels, epochs, indices, size }: Batch): MicroBatch => ({
    images: normalizePixels(
      { pixels, shape: [size, H, W, C] },
      { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] },
      'cpu',
    ),
    plan: objective.plan(seed, { epochs, indices }),
  })

export const adamW = updateOf({
  ...{ beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.05, clipGradientNorm: null },
})

export const tinyOptions = (trainee: TinyTrainee, options: Partial<TrainOptions> = {}): TrainOptions => ({
  trainee,
  loader: tinyLoader(8),
  toMicroBatch: toMicroBatch(trainee),
  schedule: { peak: 0.01, floor: 0, warmupSteps: 2, totalSteps: 10 },
  update: adamW,
  accumulate: 1,
  firstStep: 0,
  samples: 16,
  signal: new AbortController().signal,
  ...options,
})

/** Runs the loop to its end. */
export async function trainAll(options: TrainOptions): Promise<StepEvent[]> {
  const events: StepEvent[] = []
  for await (const event of train(options)) events.push(expectFinite(event))
  return events
}
