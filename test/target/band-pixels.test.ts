import { describe, expect, it } from 'vitest'
import {
  type BandPatches,
  type BandStatistics,
  bandError,
  bandMoments,
  bandStatistics,
  bandTarget,
  meanError,
} from '../../src/target/band-pixels.ts'
import { patchStatistics, pixelTarget } from '../../src/target/pixels.ts'
import { backward, gradient, requireGradient } from '../../src/tensor/context.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { item, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'

const { sqrt } = Math
const e = 1e-6

// One place of four pixels. The group has two bands, 1 2 3 6 and 10 10 14 18; a third band of the image is 0 4 8 100.
const [first, second, third] = [
  [1, 2, 3, 6],
  [10, 10, 14, 18],
  [0, 4, 8, 100],
] as const
const zipped = (bands: readonly (readonly number[])[]) =>
  [0, 1, 2, 3].flatMap((pixel) => bands.map((band) => band[pixel]!))
const patchesOf = (valid: readonly number[] | null): BandPatches => ({
  own: tensor(zipped([first, second]), [1, 8]),
  every: () => tensor(zipped([first, second, third]), [1, 12]),
  valid: valid && tensor([...valid], [1, 4]),
  pixels: 4,
})
const momentsAt = (valid: readonly number[] | null, statistics: BandStatistics) => {
  const { mean, deviation } = bandMoments(patchesOf(valid), statistics)
  return { mean: numbers(mean), deviation: numbers(deviation) }
}
const expectMoments = (
  made: { mean: number[]; deviation: number[] },
  mean: readonly number[],
  squares: readonly number[],
) => {
  expectClose(made.mean, mean, 1e-5)
  expectClose(
    made.deviation,
    squares.map((x) => sqrt(x + e)),
    1e-5,
  )
}

describe('bandMoments by hand', () => {
  it('of everything', () =>
    scope(() => {
      // 1 2 3 6 10 10 14 18: mean 8, squared distances 49 36 25 4 4 4 36 100 = 258.
      expectMoments(momentsAt(null, 'group'), [8], [258 / 7])
      // 1 2 3 6: mean 3, 14; 10 10 14 18: mean 13, 9 + 9 + 1 + 25 = 44.
      expectMoments(momentsAt(null, 'band'), [3, 13], [14 / 3, 44 / 3])
      // With 0 4 8 100: sum 64 + 112, mean 44/3; Σx² = 258 + 8·64 + 0 + 16 + 64 + 10000 less 12 · (44/3)².
      expectMoments(momentsAt(null, 'all'), [44 / 3], [(258 + 512 + 10080 - (12 * 44 * 44) / 9) / 11])
    }))

  it('of the pixels that are there: the second and the fourth', () =>
    scope(() => {
      const valid = [0, 1, 0, 1]
      // 2 6 10 18: mean 9, 49 + 9 + 1 + 81 = 140.
      expectMoments(momentsAt(valid, 'group'), [9], [140 / 3])
      // 2 6: mean 4, 8; 10 18: mean 14, 32.
      expectMoments(momentsAt(valid, 'band'), [4, 14], [8, 32])
      // and 4 100: sum 140, mean 70/3; Σx² = 4 + 36 + 100 + 324 + 16 + 10000 less 6 · (70/3)².
      expectMoments(momentsAt(valid, 'all'), [70 / 3], [(10480 - (6 * 4900) / 9) / 5])
    }))

  it('of one pixel: a single value has no spread, several bands do', () =>
    scope(() => {
      const valid = [0, 0, 1, 0]
      expectMoments(momentsAt(valid, 'band'), [3, 14], [0, 0])
      expectMoments(momentsAt(valid, 'group'), [8.5], [2 * 5.5 ** 2]) // divided by 2 − 1
    }))

  it('of none are finite', () =>
    scope(() => {
      for (const statistics of bandStatistics) {
        const { mean, deviation } = momentsAt([0, 0, 0, 0], statistics)
        expect(mean.every((x) => x === 0)).toBe(true)
        expectClose(deviation, Array(deviation.length).fill(1e-3), 1e-6)
      }
    }))
})

describe('bandTarget', () => {
  it('is (x − mean) / deviation by pixel and band, or the pixels themselves', () =>
    scope(() => {
      const [a, b] = [sqrt(14 / 3 + e), sqrt(44 / 3 + e)]
      const target = bandTarget(patchesOf(null), 'band')
      expect(target.shape).toEqual([1, 4, 2])
      expectClose(target, [-2 / a, -3 / b, -1 / a, -3 / b, 0, 1 / b, 3 / a, 5 / b], 1e-6)
      expect(numbers(bandTarget(patchesOf(null), null))).toEqual(zipped([first, second]))
    }))

  it.each(['group', 'all'] as const)('by "%s" is the pixel target of a plain image', (statistics) =>
    scope(() => {
      const values = wave(3 * 12)
      const own = tensor(values, [3, 12])
      const plain = pixelTarget(tensor(values, [1, 3, 12]), { normalize: true })
      for (const valid of [null, tensor(Array(12).fill(1), [3, 4])])
        expectClose(bandTarget({ own, every: () => own, valid, pixels: 4 }, statistics), plain, 1e-5)
      const { mean } = patchStatistics(tensor(values, [1, 3, 12]))
      expectClose(bandMoments({ own, every: () => own, valid: null, pixels: 4 }, statistics).mean, mean, 1e-6)
    }),
  )
})

describe('bandError', () => {
  const zero = () => tensor(Array(8).fill(0), [1, 8])

  it('by hand: the mean over the values that are there', () =>
    scope(() => {
      const off = (valid: readonly number[] | null) => {
        const predicted = zipped([
          [2, 4, 3, 6], // off by 1 and 2
          [10, 10, 14, 21], // off by 3
        ])
        const error = bandError(tensor(predicted, [1, 8]), patchesOf(valid), null)
        return [item(error.sum), typeof error.count === 'number' ? error.count : item(error.count)]
      }
      expect(off(null)).toEqual([(1 + 4 + 9) / 8, 1])
      expect(off([1, 1, 1, 0])).toEqual([expect.closeTo(5 / 6, 6), 1])
      expect(off([0, 0, 0, 1])).toEqual([9 / 2, 1])
      expect(off([0, 0, 0, 0])).toEqual([0, 0])
    }))

  it('of saying the mean is (n − 1) / n, n values that are there', () =>
    scope(() => {
      const errorAt = (valid: readonly number[], statistics: BandStatistics) =>
        item(bandError(zero(), patchesOf(valid), statistics).sum)
      expect(errorAt([1, 1, 1, 1], 'group')).toBeCloseTo(7 / 8, 5)
      expect(errorAt([0, 1, 0, 1], 'group')).toBeCloseTo(3 / 4, 5)
      expect(errorAt([0, 1, 0, 1], 'band')).toBeCloseTo(1 / 2, 5)
      expect(errorAt([0, 0, 1, 0], 'band')).toBeCloseTo(0, 5)
    }))

  it('has no gradient where there is no data, and the usual one elsewhere', () =>
    scope(() => {
      const predicted = requireGradient(zero())
      const { sum } = bandError(predicted, patchesOf([1, 0, 1, 0]), null)
      backward(sum)
      // 2 · (0 − x) / 4 values
      expectClose(gradient(predicted)!, [-0.5, -5, 0, 0, -1.5, -7, 0, 0], 1e-6)
    }))

  it.each([...bandStatistics, null])('with data everywhere is the same by both ways: %s', (statistics) =>
    scope(() => {
      const make = (valid: Tensor | null): BandPatches => ({
        own: tensor(wave(5 * 8, 1), [5, 8]),
        every: () => tensor(wave(5 * 12, 2), [5, 12]),
        ...{ valid, pixels: 4 },
      })
      const predicted = tensor(wave(5 * 8, 3), [5, 8])
      const without = bandError(predicted, make(null), statistics)
      const within = bandError(predicted, make(tensor(Array(20).fill(1), [5, 4])), statistics)
      expect(without.count).toBe(5)
      expect(item(within.count as Tensor)).toBe(5)
      expectClose(within.sum, without.sum, 1e-5)
    }),
  )

  it('keeps two scalars at most', () =>
    scope(() => {
      const [patches, predicted] = [patchesOf([1, 0, 1, 0]), zero()]
      const before = liveTensors()
      bandError(predicted, patches, 'band')
      expect(liveTensors() - before).toBe(2)
    }))
})

describe('meanError', () => {
  const scalar = (x: number) => tensor([x], [])

  it('by hand: every token that counts counts once', () =>
    scope(() => {
      const a = { sum: scalar(6), count: 3 }
      const b = { sum: scalar(1), count: scalar(4) }
      const nothing = { sum: scalar(0), count: scalar(0) }
      expect(item(meanError([a, { sum: scalar(4), count: 2 }]))).toBe(2)
      expect(item(meanError([a, b]))).toBe(1)
      expect(item(meanError([b, a]))).toBe(1)
      expect(item(meanError([nothing, b]))).toBe(0.25)
      expect(item(meanError([nothing, nothing]))).toBe(0)
    }))
})
