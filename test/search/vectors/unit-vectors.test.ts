import { describe, expect, it } from 'vitest'
import { pickVectors, product, unitVectors } from '../../../src/search/vectors/unit-vectors.ts'

const two = (...values: number[]) => ({
  ...{ count: values.length / 2, width: 2 },
  values: Float32Array.from(values),
})

describe('vectors', () => {
  it('get length 1 and keep their direction', () => {
    expect([...unitVectors(two(3, 4, 0, -2)).values]).toEqual([Math.fround(0.6), Math.fround(0.8), 0, -1])
  })

  it('of large and of tiny numbers do, too', () => {
    const { values } = unitVectors(two(3e30, 4e30, 3e-20, 4e-20))
    for (const [i, want] of [0.6, 0.8, 0.6, 0.8].entries()) expect(values[i]).toBeCloseTo(want, 6)
  })

  it.each<[string, number[], string]>([
    ['a number that is none', [1, 0, Number.NaN, 1], 'The vector of b has numbers that are not finite'],
    [
      'an infinite one',
      [1, 0, 1, Number.POSITIVE_INFINITY],
      'The vector of b has numbers that are not finite',
    ],
    ['no direction', [1, 0, 0, 0], 'The vector of b is zero'],
  ])('with %s are refused by name', (_, values, message) => {
    expect(() => unitVectors(two(...values), (row) => 'ab'[row]!)).toThrow(message)
  })

  it('that are not as many as was said are refused', () => {
    expect(() => unitVectors({ ...two(1, 2), count: 2 })).toThrow('expected 2 × 2 numbers')
  })

  it('are picked and multiplied', () => {
    const all = two(1, 2, 3, 4, 5, 6)
    expect([...pickVectors(all, [2, 0]).values]).toEqual([5, 6, 1, 2])
    expect(product(all, 1, all, 2)).toBe(3 * 5 + 4 * 6)
  })
})
