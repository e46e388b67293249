import { expect, it } from 'vitest'
import { spreadOf } from '../../src/evaluate/effective-rank.ts'
import { wave } from '../tolerance.ts'

it('features in two of four directions, equally, have an effective rank of two', () => {
  // ±1 along the first axis, ±1 along the second: singular values are equal in two directions, none elsewhere.
  const vectors = Float32Array.from([...[1, 0, 0, 0], ...[-1, 0, 0, 0], ...[0, 1, 0, 0], ...[0, -1, 0, 0]])
  const { effectiveRank, deviation } = spreadOf(vectors, 4)
  expect(effectiveRank).toBeCloseTo(2, 9)
  // Two dimensions deviate by √½, two by 0: mean 0.3536, times √4.
  expect(deviation).toBeCloseTo(Math.SQRT1_2, 9)
})

it('one and the same feature has collapsed', () => {
  const { effectiveRank, deviation } = spreadOf(
    Float32Array.from({ length: 30 }, (_, i) => 1 + (i % 3)),
    3,
  )
  expect(effectiveRank).toBe(1)
  expect(deviation).toBeCloseTo(0, 9)
})

it('random features use nearly every direction', () => {
  const { effectiveRank, deviation } = spreadOf(Float32Array.from(wave(8 * 500)), 8)
  expect(effectiveRank).toBeGreaterThan(7.9)
  expect(deviation).toBeGreaterThan(0.95)
})
