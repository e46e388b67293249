import { describe, expect, it } from 'vitest'
import { statisticsFromNeighbours } from '../../src/picture/neighbours.ts'
import { scope } from '../../src/tensor/scope.ts'
import { fromArray, tensor, toFloats } from '../../src/tensor/tensor.ts'
import { planFromMask } from '../../src/token/mask.ts'

/** The guessed means of one image, in the order of hidden patches; its visible means are `means`, in row-major order. */
function guess(mask: number[], grid: { h: number; w: number }, means: number[]) {
  return scope(() => {
    const K = means.length
    const deviation = tensor(
      means.map((m) => m / 10),
      [1, K, 1],
    )
    const visible = { mean: tensor(means, [1, K, 1]), deviation }
    const guessed = statisticsFromNeighbours(visible, planFromMask([mask]), grid)
    return { mean: [...toFloats(guessed.mean)], deviation: [...toFloats(guessed.deviation)] }
  })
}

describe('statisticsFromNeighbours', () => {
  it('weights by inverse squared distance', () => {
    // One row: patches 0 and 3 are visible. Patch 1 is 1 and 2 away, patch 2 is 2 and 1, patch 4 is 4 and 1.
    const { mean, deviation } = guess([0, 1, 1, 0, 1], { h: 1, w: 5 }, [10, 20])
    const expected = [(10 + 20 / 4) / (1 + 1 / 4), (10 / 4 + 20) / (1 / 4 + 1), (10 / 16 + 20) / (1 / 16 + 1)]
    for (const [i, want] of expected.entries()) {
      expect(mean[i]).toBeCloseTo(want, 5)
      expect(deviation[i]).toBeCloseTo(want / 10, 5)
    }
  })

  it('measures distance on the grid, not along the sequence', () => {
    // 2 × 2, hidden at the lower right: the diagonal is √2 away.
    const { mean } = guess([0, 0, 0, 1], { h: 2, w: 2 }, [10, 20, 30])
    expect(mean[0]).toBeCloseTo((10 / 2 + 20 + 30) / 2.5, 5)
  })

  it('takes the eight nearest', () => {
    // 5 × 5, the centre hidden: its ring of eight is nearest; the outer ring must not count.
    const mask = Array.from({ length: 25 }, (_, n) => Number(n === 12))
    const ring = new Set([6, 7, 8, 11, 13, 16, 17, 18])
    const means = Array.from({ length: 25 }, (_, n) => (ring.has(n) ? 1 : 1000)).filter((_, n) => n !== 12)
    expect(guess(mask, { h: 5, w: 5 }, means).mean[0]).toBeCloseTo(1, 6)
  })

  it('does not depend on the order of the visible patches', () => {
    const indices = (values: number[]) =>
      fromArray(BigInt64Array.from(values.map(BigInt)), [1, values.length], 'int64')
    const guessed = (kept: number[]) =>
      scope(() => {
        const mean = tensor(kept, [1, kept.length, 1]) // Each patch's mean is its number.
        const plan = { kept: indices(kept), hidden: indices([5, 10]), restore: indices([]) }
        return [...toFloats(statisticsFromNeighbours({ mean, deviation: mean }, plan, { h: 4, w: 4 }).mean)]
      })
    const kept = [0, 1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14, 15]
    expect(guessed(kept.toReversed())).toEqual(guessed(kept))
  })
})
