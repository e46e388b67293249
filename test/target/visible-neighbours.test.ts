import { describe, expect, it } from 'vitest'
import { guessFromNeighbours } from '../../src/target/visible-neighbours.ts'

/** The guessed values of hidden patches, in order; the visible ones are `means`, in row-major order. */
function guess(mask: number[], grid: { h: number; w: number }, means: number[], frames = 1): number[] {
  const rest = [...means]
  const values = Float32Array.from(mask, (hidden) => (hidden ? 1e9 : rest.shift()!))
  guessFromNeighbours(values, { grid, frames, visible: mask.map((hidden) => 1 - hidden) }, -7)
  return [...values].filter((_, n) => mask[n])
}

describe('guessFromNeighbours', () => {
  it('weights by inverse squared distance', () => {
    // One row: patches 0 and 3 are visible. Patch 1 is 1 and 2 away, patch 2 is 2 and 1, patch 4 is 4 and 1.
    const mean = guess([0, 1, 1, 0, 1], { h: 1, w: 5 }, [10, 20])
    const expected = [(10 + 20 / 4) / (1 + 1 / 4), (10 / 4 + 20) / (1 / 4 + 1), (10 / 16 + 20) / (1 / 16 + 1)]
    for (const [i, want] of expected.entries()) {
      expect(mean[i]).toBeCloseTo(want, 5)
    }
  })

  it('measures distance on the grid, not along the sequence', () => {
    // 2 × 2, hidden at the lower right: the diagonal is √2 away.
    const mean = guess([0, 0, 0, 1], { h: 2, w: 2 }, [10, 20, 30])
    expect(mean[0]).toBeCloseTo((10 / 2 + 20 + 30) / 2.5, 5)
  })

  it('takes the eight nearest', () => {
    // 5 × 5, the centre hidden: its ring of eight is nearest; the outer ring must not count.
    const mask = Array.from({ length: 25 }, (_, n) => Number(n === 12))
    const ring = new Set([6, 7, 8, 11, 13, 16, 17, 18])
    const means = Array.from({ length: 25 }, (_, n) => (ring.has(n) ? 1 : 1000)).filter((_, n) => n !== 12)
    expect(guess(mask, { h: 5, w: 5 }, means)[0]).toBeCloseTo(1, 6)
  })

  it('takes the patches of its own frame, and those of others only where it has none', () => {
    // Two frames of 1 × 2; the second has no visible patch.
    expect(guess([0, 1, 1, 1], { h: 1, w: 2 }, [10], 2)).toEqual([10, 10, 10])
    // The second has one of its own.
    expect(guess([0, 0, 0, 1], { h: 1, w: 2 }, [10, 20, 30], 2)).toEqual([30])
  })

  it('gives the value it was given where nothing is visible', () => {
    expect(guess([1, 1], { h: 1, w: 2 }, [])).toEqual([-7, -7])
  })
})
