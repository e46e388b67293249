import { describe, expect, it } from 'vitest'
import { loadCheckpoint, saveCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { alone } from '../../src/collective/collective.ts'
import type { SherdError } from '../../src/errors.ts'
import { onePart, totalOf } from '../../src/objective/losses.ts'
import { updatesTaken } from '../../src/optim/optimizer.ts'
import type { Batch } from '../../src/prepare/loader/loader.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { add, full, mul, sqrt, sum } from '../../src/tensor/ops.ts'
import type { StepEvent } from '../../src/train/events.ts'
import { expectFinite, type TrainOptions, train } from '../../src/train/loop.ts'
import { temporaryFolder } from '../tensor/temporary-folder.ts'
import { numbers } from '../tolerance.ts'
import {
  constantRate,
  type TinyTrainee,
  tinyLoader,
  tinyOptions,
  tinyTrainee,
  toDeviceBatch,
  trainAll,
} from './tiny-training.ts'

const bits = (trainee: TinyTrainee) => [...trainee.parameters.values()].map(numbers)
const losses = (events: readonly StepEvent[]) => events.map(({ loss }) => loss)

describe('a trajectory of ten steps', () => {
  it('goes down, and on towards zero where there are only two images to learn', async () => {
    const mean = (x: number[]) => x.reduce((a, b) => a + b, 0) / x.length
    const ten = losses(await trainAll(tinyOptions(tinyTrainee())))
    expect(mean(ten.slice(-2))).toBeLessThan(0.6 * mean(ten.slice(0, 2)))

    const hundred = losses(
      await trainAll(
        tinyOptions(tinyTrainee(), {
          loader: tinyLoader(8, 2),
          schedules: { ...constantRate(0.01), learningRate: { kind: 'cosine', from: 0.01, to: 0 } },
          totalSteps: 100,
        }),
      ),
    )
    // Predicting every patch's mean, without having seen anything, scores 11/12.
    expect(hundred[0]).toBeGreaterThan(11 / 12)
    expect(mean(hundred.slice(-5))).toBeLessThan(0.4)
  })

  it('is the same to the bit when it is repeated, and another for another seed', async () => {
    const [a, b, c] = [tinyTrainee(), tinyTrainee(), tinyTrainee(6)]
    const [first, second, other] = [
      await trainAll(tinyOptions(a)),
      await trainAll(tinyOptions(b)),
      await trainAll(tinyOptions(c)),
    ]
    expect(losses(second)).toEqual(losses(first))
    expect(bits(b)).toEqual(bits(a))
    expect(losses(other)).not.toEqual(losses(first))
  })

  it('that stops after five and continues from a checkpoint ends with the same bits', async () => {
    const uninterrupted = tinyTrainee()
    const all = await trainAll(tinyOptions(uninterrupted))

    const before = tinyTrainee()
    const abort = new AbortController()
    const head: StepEvent[] = []
    for await (const event of train(tinyOptions(before, { signal: abort.signal }))) {
      head.push(expectFinite(event))
      if (event.step === 5) abort.abort()
    }
    expect(head.length).toBe(5)
    const path = saveCheckpoint(
      temporaryFolder(),
      { parameters: before.parameters, optimizer: before.state, step: 5, samples: 40 },
      { keep: 1 },
    )

    const { parameters, optimizer, step, samples } = loadCheckpoint(path, before.objective.rows, 'cpu')
    const after: TinyTrainee = { ...before, parameters, state: optimizer }
    const tail = await trainAll(tinyOptions(after, { firstStep: step, loader: tinyLoader(8, 16, samples) }))

    expect(losses([...head, ...tail])).toEqual(losses(all))
    expect([...head, ...tail].map(({ gradientNorm }) => gradientNorm)).toEqual(
      all.map(({ gradientNorm }) => gradientNorm),
    )
    expect(bits(after)).toEqual(bits(uninterrupted))
    expect(bits(before)).not.toEqual(bits(uninterrupted))
  })

  it('accumulated over two halves is that of the whole batches', async () => {
    const [a, b] = [tinyTrainee(), tinyTrainee()]
    const whole = await trainAll(tinyOptions(a))
    const halves = await trainAll(tinyOptions(b, { loader: tinyLoader(4), accumulate: 2 }))
    for (const [i, { loss }] of whole.entries()) expect(halves[i]!.loss).toBeCloseTo(loss, 5)
  })

  it('in bfloat16 stays near that of float32', async () => {
    const full = await trainAll(tinyOptions(tinyTrainee()))
    const half = await trainAll(tinyOptions(tinyTrainee(5, 'bfloat16')))
    expect(losses(half)).not.toEqual(losses(full))
    for (const [i, { loss }] of full.entries()) expect(Math.abs(half[i]!.loss / loss - 1)).toBeLessThan(0.03)
  })
})

describe('the events', () => {
  it('have the values of schedules by epoch, of all ranks’ samples', async () => {
    const byEpoch = { kind: 'steps', values: [1, 2, 3], at: [{ epochs: 1 }, { epochs: 2 }] } as const
    const schedules = { ...constantRate(1e-3), temperature: byEpoch }
    const collective = { ...alone, world: 2 } // the other rank's samples count, and give zeros here
    const of = async (trainee: TinyTrainee) => {
      const events = await trainAll(tinyOptions(trainee, { schedules, totalSteps: 5 }))
      return events.map((each) => [each.schedules.temperature, each.epoch])
    }
    // 8 of 16 samples in each step, or 16 with the other rank's.
    expect(await of(tinyTrainee())).toEqual([
      ...[
        [1, 0.5],
        [1, 1],
        [2, 1.5],
        [2, 2],
        [3, 2.5],
      ],
    ])
    expect(await of({ ...tinyTrainee(), collective })).toEqual([
      ...[
        [1, 1],
        [2, 2],
        [3, 3],
        [3, 4],
        [3, 5],
      ],
    ])
  })

  it('count steps, epochs and images, and name the rate that the step had', async () => {
    const events = await trainAll(tinyOptions(tinyTrainee(), { loader: tinyLoader(4), accumulate: 3 }))
    expect(events.map(({ kind, step }) => [kind, step])).toEqual(
      Array.from({ length: 10 }, (_, i) => ['step', i + 1]),
    )
    // 12 images a step of 16 in all; warm-up 0, half, then eight steps of a cosine.
    expect(events.map(({ epoch }) => epoch)).toEqual(
      Array.from({ length: 10 }, (_, i) => ((i + 1) * 12) / 16),
    )
    const rates = [
      0,
      0.005,
      ...Array.from({ length: 8 }, (_, k) => 0.005 * (1 + Math.cos((Math.PI * k) / 8))),
    ]
    for (const [i, { learningRate }] of events.entries()) expect(learningRate).toBeCloseTo(rates[i]!, 12)
    for (const { stepSeconds, imagesPerSecond, gradientNorm } of events) {
      expect(imagesPerSecond * stepSeconds).toBeCloseTo(12, 6)
      expect(gradientNorm).toBeGreaterThan(0)
    }
  })

  it('tell how long the step waited for data', async () => {
    const loader = tinyLoader(4)
    const slow = {
      next: async () => {
        await new Promise((resolve) => setTimeout(resolve, 40))
        return loader.next()
      },
    }
    const [event] = await trainAll(
      tinyOptions(tinyTrainee(), {
        loader: slow,
        accumulate: 2,
        schedules: constantRate(1e-3),
        totalSteps: 1,
      }),
    )
    expect(event!.dataWaitSeconds).toBeGreaterThanOrEqual(0.078)
    expect(event!.dataWaitSeconds).toBeLessThanOrEqual(event!.stepSeconds)
  })

  it('the first step of a warm-up has rate 0 and changes no weight', async () => {
    const trainee = tinyTrainee()
    const before = bits(trainee)
    for await (const { step, learningRate } of train(tinyOptions(trainee))) {
      if (step === 1) {
        expect(learningRate).toBe(0)
        expect(bits(trainee)).toEqual(before)
      } else {
        expect(bits(trainee)).not.toEqual(before)
        break
      }
    }
  })
})

describe('stopping', () => {
  it('does not begin when it is aborted already, nor after the last step', async () => {
    const trainee = tinyTrainee()
    const before = bits(trainee)
    expect(await trainAll(tinyOptions(trainee, { signal: AbortSignal.abort() }))).toEqual([])
    expect(await trainAll(tinyOptions(trainee, { firstStep: 10 }))).toEqual([])
    expect(bits(trainee)).toEqual(before)
  })

  it('ends after the step that is running, whole', async () => {
    const abort = new AbortController()
    const [trainee, reference] = [tinyTrainee(), tinyTrainee()]
    const options = tinyOptions(trainee)
    let batches = 0
    const loader = {
      next: () => {
        batches++
        if (batches === 3) abort.abort() // in the middle of the third step
        return options.loader.next()
      },
    }
    const events = await trainAll({ ...options, loader, signal: abort.signal })
    expect([events.length, batches]).toEqual([3, 3])
    for await (const { step } of train(tinyOptions(reference))) if (step === 3) break
    expect(bits(trainee)).toEqual(bits(reference))
  })

  it('hears other events between steps', async () => {
    let ticks = 0
    let isTraining = true
    const tick = () => {
      ticks++
      if (isTraining) setImmediate(tick)
    }
    setImmediate(tick)
    await trainAll(tinyOptions(tinyTrainee()))
    isTraining = false
    expect(ticks).toBeGreaterThanOrEqual(5)
  })

  it('throws what the loader throws', async () => {
    const loader = { next: () => Promise.reject(new RangeError('no more')) }
    await expect(trainAll(tinyOptions(tinyTrainee(), { loader }))).rejects.toThrow(new RangeError('no more'))
  })
})

describe('a number that is not finite stops the training', () => {
  /** Trains until it throws. */
  async function run(trainee: TinyTrainee, options: Partial<TrainOptions>) {
    const events: StepEvent[] = []
    try {
      for await (const event of train(tinyOptions(trainee, options))) events.push(expectFinite(event))
    } catch (error) {
      return { events, error: error as SherdError }
    }
    throw new Error('it did not stop')
  }

  it.each([1, 2])(
    'of the loss, in part %d of 2: step and rate are named, weights stay as they were',
    async (part) => {
      const [trainee, reference] = [tinyTrainee(), tinyTrainee()]
      const loader = tinyLoader(4)
      let batches = 0
      let spoiled: Batch | undefined
      const { events, error } = await run(trainee, {
        accumulate: 2,
        loader: {
          next: async () => {
            const batch = await loader.next()
            if (++batches === 4 + part) spoiled = batch
            return batch
          },
        },
        toDeviceBatch: (batch) => {
          const made = toDeviceBatch(batch)
          return batch === spoiled ? { image: viewOf(full(made.image.pixels.shape, Number.NaN)) } : made
        },
      })
      expect(batches).toBe(6) // the images of the step are spent, whichever of them it was
      expect(events.length).toBe(2)
      expect([error.code, error.message]).toEqual([
        'NON_FINITE',
        'Step 3 gave loss NaN at learning rate 0.0100; first: the image: 720 NaN and 0 infinite of 720 numbers',
      ])
      for await (const { step } of train(tinyOptions(reference, { accumulate: 2, loader: tinyLoader(4) })))
        if (step === 2) break
      expect(bits(trainee)).toEqual(bits(reference))
      expect(updatesTaken(trainee.state)).toBe(2)
      const second = ({ state }: TinyTrainee) => numbers(state.slots.exp_avg_sq!.get('norm.bias')!)
      expect(second(trainee)).toEqual(second(reference))
    },
  )

  it('of the loss alone, while its gradients are numbers', async () => {
    const trainee = tinyTrainee()
    const before = bits(trainee)
    const { objective } = trainee
    const high: TinyTrainee = {
      ...trainee,
      objective: {
        ...objective,
        loss: (...args) => onePart('pixels', add(totalOf(objective.loss(...args)), Number.POSITIVE_INFINITY)),
      },
    }
    const { error } = await run(high, {
      schedules: { ...constantRate(0.01), learningRate: { kind: 'cosine', from: 0.01, to: 0 } },
      totalSteps: 3,
    })
    expect([error.code, error.message]).toEqual([
      'NON_FINITE',
      'Step 1 gave loss Infinity at learning rate 0.0100; first: the result of aten::add.Scalar(float32[]): 0 NaN and 1 infinite of 1 number',
    ])
    expect(bits(trainee)).toEqual(before)
  })

  it('of the gradient norm, while the loss is still a number', async () => {
    const trainee = tinyTrainee()
    const before = bits(trainee)
    const { objective } = trainee
    const steep: TinyTrainee = {
      ...trainee,
      // √0 adds nothing to the loss, and its slope is infinite.
      objective: {
        ...objective,
        loss: (weights, ...rest) =>
          onePart(
            'pixels',
            add(totalOf(objective.loss(weights, ...rest)), sqrt(mul(sum(weights('norm.bias')), 0))),
          ),
      },
    }
    const { error } = await run(steep, {
      schedules: { ...constantRate(0.01), learningRate: { kind: 'cosine', from: 0.01, to: 0 } },
      totalSteps: 3,
    })
    expect(error.code).toBe('NON_FINITE')
    expect(error.message).toBe(
      'Step 1 gave gradient norm NaN at learning rate 0.0100; first: the gradient of norm.bias: 24 NaN and 0 infinite of 24 numbers',
    )
    expect(bits(trainee)).toEqual(before)
  })
})

describe('data that never come', () => {
  it('do not keep an aborted loop from ending: the step is given up, and nothing has changed', async () => {
    const trainee = tinyTrainee()
    const before = bits(trainee)
    const stop = new AbortController()
    const loader = {
      next: () => {
        setImmediate(() => stop.abort())
        return new Promise<Batch>(() => {})
      },
    }
    const events: unknown[] = []
    for await (const event of train(tinyOptions(trainee, { loader, signal: stop.signal }))) events.push(event)
    expect(events).toEqual([])
    expect(bits(trainee)).toEqual(before)
  })
})
