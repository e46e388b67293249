import { describe, expect, it } from 'vitest'
import { finitePoints, runningMedian, thin } from '../../src/picture/series.ts'

const series = (ys: number[]) => ys.map((y, x) => ({ x, y }))
const ys = (points: readonly { y: number }[]) => points.map(({ y }) => y)

it('drops what is not finite and sorts the rest', () => {
  const points = [
    { x: 3, y: 1 },
    { x: 1, y: 2 },
    { x: 2, y: Number.NaN },
    { x: 4, y: Number.POSITIVE_INFINITY },
    { x: Number.NaN, y: 1 },
  ]
  expect(finitePoints(points)).toEqual([
    { x: 1, y: 2 },
    { x: 3, y: 1 },
  ])
})

describe('thin', () => {
  it('keeps the extremes of every column, in order', () => {
    expect(ys(thin(series([5, 1, 9, 2, 3, 8, 0, 4]), 2))).toEqual([1, 9, 8, 0])
  })

  it('keeps every spike of a long series and few points', () => {
    const long = series(Array.from({ length: 100_000 }, (_, i) => (i % 9973 === 17 ? 50 + i : Math.sin(i))))
    const thinned = thin(long, 700)
    expect(thinned.length).toBeLessThanOrEqual(1400)
    expect(thinned.filter(({ y }) => y > 2)).toEqual(long.filter(({ y }) => y > 2))
    expect(thinned.every(({ x }, i) => i === 0 || x > thinned[i - 1]!.x)).toBe(true)
  })

  it('leaves short series, and does not mind equal x', () => {
    const short = series([3, 1, 2])
    expect(thin(short, 2)).toBe(short)
    expect(thin([], 5)).toEqual([])
    const same = Array.from({ length: 50 }, (_, i) => ({ x: 7, y: i }))
    expect(ys(thin(same, 5))).toEqual([0, 49])
  })
})

describe('runningMedian', () => {
  it('is the median around each point, with the window cut off at the ends', () => {
    const points = runningMedian(series([1, 9, 2, 8, 3]), { window: 3, count: 10 })
    expect(ys(points)).toEqual([5, 2, 8, 3, 5.5])
  })

  it('ignores a lone spike', () => {
    const flat = series(Array.from({ length: 101 }, (_, i) => (i === 50 ? 1000 : 1)))
    expect(new Set(ys(runningMedian(flat, { window: 5, count: 101 })))).toEqual(new Set([1]))
  })

  it('samples evenly, both ends included', () => {
    const points = runningMedian(series(Array.from({ length: 1001 }, (_, i) => i)), { window: 1, count: 5 })
    expect(points.map(({ x }) => x)).toEqual([0, 250, 500, 750, 1000])
    expect(runningMedian(series([4]), { window: 5, count: 5 })).toEqual([{ x: 0, y: 4 }])
  })
})
