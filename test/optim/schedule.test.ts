import { describe, expect, it } from 'vitest'
import { learningRateAt, scaledLearningRate } from '../../src/optim/schedule.ts'

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
