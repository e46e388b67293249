import { expect, it } from 'vitest'
import { openLossSeries } from '../../src/run/loss-series.ts'

const filled = (losses: readonly number[], most?: number) => {
  const series = openLossSeries(most)
  for (const [i, loss] of losses.entries()) series.add({ step: i + 1, loss })
  return series
}

it('keeps short series whole, without what is not finite', () => {
  const series = filled([3, Number.NaN, 1, 2], 8)
  expect(series.points()).toEqual([
    { step: 1, loss: 3 },
    { step: 3, loss: 1 },
    { step: 4, loss: 2 },
  ])
  expect([series.count(), series.first()]).toEqual([3, 3])
  expect(filled([]).first()).toBeNull()
})

it('pools long ones: the lowest, the highest and the middle of neighbours', () => {
  // Four pools of one value become two pools of two: (3, 1) and (2, 9); then 5 and 7 wait for each other.
  const series = filled([3, 1, 2, 9, 5], 4)
  expect(series.points()).toEqual([
    { step: 1, loss: 3 },
    { step: 1, loss: 2 }, // the mean of 3 and 1
    { step: 2, loss: 1 },
    { step: 3, loss: 2 },
    { step: 3, loss: 5.5 },
    { step: 4, loss: 9 },
    { step: 5, loss: 5 },
    { step: 5, loss: 5 },
    { step: 5, loss: 5 },
  ])
  expect(series.count()).toBe(5)
})

it('holds a million values in few points, with every extreme, around the same middle', () => {
  const series = openLossSeries(64)
  for (let step = 1; step <= 1_000_000; step++)
    series.add({ step, loss: step === 777_777 ? 50 : 1 + (step % 11) / 10 - 0.5 })
  const points = series.points()
  expect(points.length).toBeLessThanOrEqual(3 * 64)
  expect(Math.max(...points.map(({ loss }) => loss))).toBe(50)
  expect(Math.min(...points.map(({ loss }) => loss))).toBe(0.5)
  const sorted = points.map(({ loss }) => loss).sort((a, b) => a - b)
  expect(sorted[sorted.length >> 1]).toBeCloseTo(1, 1)
  expect(series.count()).toBe(1_000_000)
})
