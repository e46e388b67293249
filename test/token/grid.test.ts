import { describe, expect, it } from 'vitest'
import { gridOf, tokenCount } from '../../src/token/grid.ts'

describe('gridOf', () => {
  it.each([
    [[224, 224], 16, { h: 14, w: 14 }, 196],
    [[224, 224], 14, { h: 16, w: 16 }, 256],
    [[32, 32], 4, { h: 8, w: 8 }, 64],
    [[6, 10], 2, { h: 3, w: 5 }, 15],
    [[8, 8], 8, { h: 1, w: 1 }, 1],
    [[8, 24], [4, 8], { h: 2, w: 3 }, 6],
    [[3, 10], [1, 5], { h: 3, w: 2 }, 6],
  ] as const)('%j under patches of %j', (size, patch, grid, tokens) => {
    expect(gridOf(size, patch)).toEqual(grid)
    expect(tokenCount(grid)).toBe(tokens)
  })

  it.each([
    [[7, 8], 2],
    [[8, 7], 2],
    [[8, 8], 16],
    [[0, 8], 2],
    [[8, 8], 0],
    [[8, 8], -2],
    [[3, 3], 1.5],
    [[2.5, 2.5], 0.5],
    [[Number.NaN, 8], 2],
    [[8, 8], Number.NaN],
    [
      [8, 8],
      [4, 3],
    ],
    [
      [8, 8],
      [16, 4],
    ],
    [
      [8, 8],
      [4, 0],
    ],
  ] as const)('refuses %j under patches of %j', ([height, width], patch) => {
    expect(() => gridOf([height, width], patch)).toThrow(
      expect.objectContaining({
        code: 'SHAPE',
        message: `An image of ${height} × ${width} pixels cannot be cut into patches of ${[patch, patch].flat().slice(0, 2).join(' × ')}: its sides must be multiples of theirs`,
      }),
    )
  })
})
