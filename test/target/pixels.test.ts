import { describe, expect, it } from 'vitest'
import { patchStatistics, pixelTarget, withStatistics } from '../../src/target/pixels.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { expectClose, wave } from '../tolerance.ts'

// 1, 2, 3, 6: mean 3, squared distances 4 + 1 + 0 + 9 = 14, unbiased variance 14/3.
const patch = [1, 2, 3, 6]

describe('patchStatistics', () => {
  it('by hand: the variance divides by n − 1, and ε is inside the root', () =>
    scope(() => {
      const { mean, deviation } = patchStatistics(tensor([...patch, 5, 5, 5, 5], [1, 2, 4]))
      expect([mean.shape, deviation.shape]).toEqual([
        [1, 2, 1],
        [1, 2, 1],
      ])
      expectClose(mean, [3, 5], 1e-6)
      expectClose(deviation, [Math.sqrt(14 / 3 + 1e-6), 1e-3], 1e-6)
    }))
})

describe('pixelTarget', () => {
  it('by hand: normalised by the patch’s own statistics', () =>
    scope(() => {
      const deviation = Math.sqrt(14 / 3 + 1e-6)
      const expected = [-2 / deviation, -1 / deviation, 0, 3 / deviation]
      const target = pixelTarget(tensor([...patch, ...patch.map((v) => 10 * v - 7)], [2, 1, 4]), {
        normalize: true,
      })
      expectClose(target, [...expected, ...expected], 1e-6) // neither brightness nor contrast are left
    }))

  it('a patch of one colour is all zeros', () =>
    scope(() =>
      expectClose(pixelTarget(tensor([5, 5, 5, 5], [1, 1, 4]), { normalize: true }), [0, 0, 0, 0], 0),
    ))

  it('takes all channels of a patch together, and patches apart', () =>
    scope(() => {
      const values = wave(2 * 3 * 12, 1)
      const expected = Array.from({ length: 6 }, (_, m) => {
        const one = values.slice(m * 12, (m + 1) * 12)
        const mean = one.reduce((a, b) => a + b, 0) / 12
        const variance = one.reduce((a, b) => a + (b - mean) ** 2, 0) / 11
        return one.map((v) => (v - mean) / Math.sqrt(variance + 1e-6))
      }).flat()
      expectClose(pixelTarget(tensor(values, [2, 3, 12]), { normalize: true }), expected, 2e-6)
    }))

  it('raw: the pixels themselves', () =>
    scope(() => {
      const patches = tensor(patch, [1, 1, 4])
      expect(pixelTarget(patches, { normalize: false })).toBe(patches)
    }))
})

describe('withStatistics', () => {
  it('undoes the normalisation', () =>
    scope(() => {
      const values = wave(2 * 3 * 12, 2)
      const patches = tensor(values, [2, 3, 12])
      const back = withStatistics(pixelTarget(patches, { normalize: true }), patchStatistics(patches))
      expectClose(back, tensor(values, [2, 3, 12]), 1e-6)
    }))

  it('by hand, with the statistics of another patch', () =>
    scope(() => {
      const statistics = { mean: tensor([10], [1, 1, 1]), deviation: tensor([2], [1, 1, 1]) }
      expectClose(withStatistics(tensor([-1, 0, 3], [1, 1, 3]), statistics), [8, 10, 16], 0)
    }))
})
