// The columns of the methods' own code are compared in test/verify/operator-files.test.ts.
import { describe, expect, it } from 'vitest'
import {
  learningRateAt,
  rateScalings,
  type Schedule,
  scaledLearningRate,
  valueAt,
} from '../../src/optim/schedule.ts'

describe('learningRateAt', () => {
  const schedule = { peak: 8, floor: 0, warmupSteps: 4, totalSteps: 12 }
  // Warm-up in quarters of the peak; then 4 (1 + cos(π k / 8)) for k = 0 … 8.
  it.each([
    [0, 0],
    [1, 2],
    [3, 6],
    [4, 8],
    [6, 4 * (1 + Math.SQRT1_2)],
    [8, 4],
    [10, 4 * (1 - Math.SQRT1_2)],
    [11, 4 * (1 + Math.cos((7 / 8) * Math.PI))],
    [12, 0],
    [100, 0],
  ])('step %d has the rate %d', (step, rate) => expect(learningRateAt(step, schedule)).toBeCloseTo(rate, 12))

  it('ends at the floor, and crosses the middle between both half-way', () => {
    const lifted = { ...schedule, floor: 2 }
    expect(learningRateAt(1, lifted)).toBe(2) // the warm-up is towards the peak
    expect(learningRateAt(8, lifted)).toBeCloseTo(5, 12)
    expect(learningRateAt(12, lifted)).toBeCloseTo(2, 12)
  })

  it('starts at the peak without a warm-up', () => {
    expect(learningRateAt(0, { ...schedule, warmupSteps: 0 })).toBe(8)
    expect(learningRateAt(6, { ...schedule, warmupSteps: 0 })).toBeCloseTo(4, 12)
  })

  it('may be all warm-up', () => {
    const only = { ...schedule, warmupSteps: 12 }
    expect([0, 6, 11].map((step) => learningRateAt(step, only))).toEqual([0, 4, (8 * 11) / 12])
    expect(Number.isFinite(learningRateAt(12, only))).toBe(true)
  })

  it('falls with every step after the warm-up', () => {
    const rates = Array.from({ length: 9 }, (_, k) => learningRateAt(4 + k, schedule))
    expect(rates).toEqual([...rates].sort((a, b) => b - a))
    expect(new Set(rates).size).toBe(9)
  })
})

it('scaledLearningRate is per 256 images', () => {
  expect(scaledLearningRate(1.5e-4, 4096)).toBeCloseTo(2.4e-3, 12)
  expect(scaledLearningRate(1.5e-4, 128)).toBeCloseTo(7.5e-5, 12)
})

describe('valueAt', () => {
  const run = { stepsPerEpoch: 4, totalSteps: 12 }
  const values = (schedule: Schedule, steps = 12) =>
    Array.from({ length: steps }, (_, step) => valueAt(schedule, { step, epoch: step / 4, ...run }))

  it('constant', () => expect(values({ kind: 'constant', value: 3 }, 2)).toEqual([3, 3]))

  it('linear arrives at its last step, or with the one after', () => {
    const line = { kind: 'linear', from: 1, to: 4 } as const
    expect(values({ ...line, over: 4, arrival: 'last' }, 6)).toEqual([1, 2, 3, 4, 4, 4])
    expect(values({ ...line, over: 3 }, 6)).toEqual([1, 2, 3, 4, 4, 4])
    expect(values({ ...line, over: 3, delay: 2 }, 7)).toEqual([1, 1, 1, 2, 3, 4, 4])
    expect(values({ ...line, over: { epochs: 0.75 } }, 6)).toEqual([1, 2, 3, 4, 4, 4])
    expect(values({ ...line, over: 1, arrival: 'last' }, 3)).toEqual([1, 4, 4])
    expect(values({ ...line, over: 0 }, 2)).toEqual([1, 4])
  })

  it('linear by epoch holds a value for all steps that begin in one', () => {
    const line = { kind: 'linear', from: 1, to: 3, by: 'epoch', arrival: 'last' } as const
    const expected = [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]
    expect(values({ ...line, over: { epochs: 3 } })).toEqual(expected)
    expect(values({ ...line, over: 12 })).toEqual(expected)
    const epochs = [0, 0.7, 1.4, 2.1].map((epoch, step) =>
      valueAt({ ...line, over: { epochs: 3 } }, { step, epoch, ...run }),
    )
    expect(epochs).toEqual([1, 1, 2, 3])
  })

  it('steps change with an update, or with an epoch', () => {
    expect(values({ kind: 'steps', values: [5, 6, 7], at: [2, { epochs: 1 }] }, 6)).toEqual([
      5, 5, 6, 6, 7, 7,
    ])
  })

  it('a cosine ends with the run, or where it says', () => {
    const middle = { step: 6, epoch: 1.5, ...run }
    expect(valueAt({ kind: 'cosine', from: 8, to: 2 }, middle)).toBeCloseTo(5, 12)
    expect(valueAt({ kind: 'cosine', from: 8, to: 2, total: { epochs: 1.5 } }, middle)).toBeCloseTo(2, 12)
    expect(valueAt({ kind: 'cosine', from: 8, to: 2, total: 24 }, middle)).toBeCloseTo(
      5 + 3 * Math.SQRT1_2,
      12,
    )
  })

  it('a warm-up starts where it says, and arrives at its last step or after it', () => {
    const schedule = { kind: 'cosine', from: 8, to: 0, start: 2, warmup: 4 } as const
    expect(values(schedule, 5)).toEqual([2, 3.5, 5, 6.5, 8])
    expect(values({ ...schedule, arrival: 'last' }, 5)).toEqual([2, 4, 6, 8, 8])
    expect(values({ ...schedule, warmup: 1, arrival: 'last' }, 2)).toEqual([2, 8])
  })

  it('learningRateAt is the cosine with a warm-up from 0, to the bit', () => {
    const [peak, floor, warmupSteps, totalSteps] = [1.5e-4, 1e-6, 7.3, 41]
    for (let step = 0; step < 45; step++) {
      const progress = (step - warmupSteps) / (totalSteps - warmupSteps)
      const expected =
        step < warmupSteps
          ? (peak * step) / warmupSteps
          : floor + (peak - floor) * 0.5 * (1 + Math.cos(Math.PI * Math.min(1, progress)))
      expect(learningRateAt(step, { peak, floor, warmupSteps, totalSteps })).toBe(expected)
    }
  })
})

it('rateScalings: linear is per 256, root is per 1024', () => {
  expect(rateScalings.linear(1.5e-4, 4096)).toBeCloseTo(2.4e-3, 12)
  expect(rateScalings.root(4e-3, 4096)).toBeCloseTo(8e-3, 12)
  expect(rateScalings.none(4e-3)).toBe(4e-3)
})
