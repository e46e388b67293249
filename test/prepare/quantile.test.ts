import { expect, it } from 'vitest'
import { quantile } from '../../src/prepare/quantile.ts'

it('quantiles lie between values in proportion', () => {
  const values = Float64Array.of(1, 2, 4, 8)
  expect([0, 0.5, 1, 1 / 6].map((q) => quantile(values, q))).toEqual([1, 3, 8, 1.5])
  expect(quantile([], 0.5)).toBeNaN()
})
