/** Times whole training steps on random samples: upload, normalise, mask, forward, backward, AdamW. */
import { completed, objectiveOf } from '../config/assemble.ts'
import { dimensionsOf, framesOf } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { stepFlops } from '../config/step-cost.ts'
import { peakResidentBytes } from '../machine/memory.ts'
import { type MachinePlan, planMachine } from '../machine/plan.ts'
import { initialParameters, learnedIn } from '../model/parameters.ts'
import { allRows } from '../objective/averages.ts'
import { initialState } from '../optim/optimizer.ts'
import { valuesAt } from '../optim/schedule.ts'
import { updateOf } from '../optim/update.ts'
import { type ChannelStatistics, imagenetStatistics, toView } from '../prepare/normalize.ts'
import type { Pixels } from '../prepare/pixels.ts'
import { draws } from '../random/draws.ts'
import { setThreads, synchronize } from '../tensor/context.ts'
import { openStepper } from '../train/stepper.ts'
import type { Trainee } from '../train/trainee.ts'
import { locate, openFrozenModels } from '../weights/frozen-model.ts'

export interface StepTimes {
  readonly seconds: readonly number[]
  readonly loss: number
  /** Peak resident set of the process. */
  readonly peakBytes: number
}

export interface StepBench {
  readonly machine: MachinePlan
  readonly batch: number
  /** Floating-point operations of the model per image and step. */
  readonly flopsPerImage: number
  /** First steps that are slower: memory grows, libraries choose their kernels, and a GPU records one of them. */
  readonly cold: number
  /**
   * Runs `steps` more steps. On a CPU each is timed; on a GPU all of them together, from one synchronisation to the next, since the
   * samples of a step are sent while the one before still runs.
   */
  run(steps: number): StepTimes
  /** Why steps are taken operator by operator; null if they are a recorded graph. */
  whyNotRecorded(): string | null
  close(): void
}

// Random bytes are repeated over a large batch: drawing all of them would take longer than the steps.
const repeatedBytes = 2 ** 20

function randomBytes(length: number, seed: number): Uint8Array {
  const random = draws({ seed, stream: 'bench', epoch: 0, index: 0 })
  const drawn = Uint8Array.from({ length: Math.min(length, repeatedBytes) }, () => random.below(256))
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at += drawn.length) bytes.set(drawn.subarray(0, length - at), at)
  return bytes
}

/** A batch for the configuration: bytes, or rasters of values from 0 to 255 with dates and a resolution of 10 m. */
function randomSamples(config: Config, batch: number): Pixels {
  const { imageSize, channels } = dimensionsOf(config)
  const [H, W] = imageSize
  const frames = framesOf(config)
  const isOfRasters = config.data.kind === 'rasters'
  const values = randomBytes(batch * frames * channels * H * W, config.train.seed)
  if (!isOfRasters) return { pixels: values, shape: [batch, H, W, channels] }
  return {
    ...{ pixels: Float32Array.from(values), shape: [batch, frames, channels, H, W] },
    times: Float64Array.from({ length: batch * frames }, (_, i) => Date.UTC(2021, i % 12)),
    resolution: new Float64Array(batch).fill(10),
  }
}

function statisticsOfRandom({ data, model }: Config): ChannelStatistics {
  const { channels } = model
  if (channels === 3 && data.kind === 'images') return imagenetStatistics
  const unit = data.kind === 'rasters' ? 255 : 1
  return { mean: Array(channels).fill(0.5 * unit), std: Array(channels).fill(0.25 * unit) }
}

export async function openStepBench(given: Config): Promise<StepBench> {
  const config = await completed(given, locate)
  const machine = planMachine({ ...config.train, workers: config.data.workers })
  setThreads(machine.threads)
  const { device, precision } = machine
  const { batchSize, seed } = config.train
  const statistics = statisticsOfRandom(config)
  const models = await openFrozenModels({ config, statistics, machine })
  const objective = objectiveOf(config, device, { models })
  const parameters = initialParameters(allRows(objective), { seed, device })
  const { kernels, recompute, record } = config.train
  const { optimizer, clip = null } = updateOf(config.optim)
  const trainee: Trainee = {
    ...{
      objective,
      parameters,
      optimizer,
      state: initialState(optimizer, learnedIn(objective.rows, parameters)),
    },
    ...{ groups: [], clip, seed, device, precision, kernels, recompute, record },
  }
  const samples = randomSamples(config, batchSize)
  const indices = Int32Array.from({ length: batchSize }, (_, i) => i)
  let step = 0

  const first = { step: 0, epoch: 0, stepsPerEpoch: 1, totalSteps: 1 }
  const own = valuesAt(objective.schedules ?? {}, first)
  const value = { ...own, learningRate: 1.5e-4, weightDecay: config.optim.weightDecay }
  const stepper = openStepper(trainee)
  const begin = () => {
    const open = stepper.begin({ step, epoch: step, value, parts: 1 })
    const epochs = new Int32Array(batchSize).fill(step++)
    open.add(() => ({ batch: { image: toView(samples, statistics, device) }, samples: { epochs, indices } }))
    return open
  }
  /** As the training loop takes them. */
  const take = (steps: number): number => {
    let [loss, ahead] = [Number.NaN, steps > 0 ? begin() : null]
    for (let i = 0; i < steps; i++) {
      const read = (ahead ?? begin()).finish()
      ahead = stepper.isAhead && i + 1 < steps ? begin() : null
      loss = read().loss
    }
    return loss
  }
  return {
    machine,
    batch: batchSize,
    cold: stepper.whyNotRecorded() === null ? 4 : 2,
    flopsPerImage: stepFlops(config),
    run(steps) {
      const rounds = device === 'cpu' ? steps : 1
      const seconds: number[] = []
      let loss = 0
      for (let i = 0; i < rounds; i++) {
        synchronize(device)
        const started = performance.now()
        loss = take(steps / rounds)
        synchronize(device)
        seconds.push((performance.now() - started) / 1000 / (steps / rounds))
      }
      return { seconds, loss, peakBytes: peakResidentBytes() }
    },
    whyNotRecorded: stepper.whyNotRecorded,
    close: stepper.dispose,
  }
}
