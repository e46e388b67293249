import { expect, it } from 'vitest'
import { nearestPlaces, similarities } from '../../src/look/nearest.ts'
import { expectClose } from '../tolerance.ts'

const features = Float32Array.from([
  ...[3, 4], // the chosen one
  ...[6, 8], // longer, the same direction
  ...[4, 3], // 24 / 25
  ...[-3, -4],
  ...[4, -3], // at a right angle
  ...[0, 0],
  ...[4, 3],
])

it('compares by the cosine, whatever the lengths', () => {
  expectClose(similarities(features, features.slice(0, 2)), [1, 1, 0.96, -1, 0, 0, 0.96], 1e-15)
})

it('lists the most similar first, of equal ones the first, without the chosen one', () => {
  const similarity = similarities(features, features.slice(0, 2))
  expect(nearestPlaces(similarity, 3, 0).map(({ place }) => place)).toEqual([1, 2, 6])
  expect(nearestPlaces(similarity, 2, null).map(({ place }) => place)).toEqual([0, 1])
  expect(nearestPlaces(similarity, 99, 0)).toHaveLength(6)
})
