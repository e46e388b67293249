import { describe, expect, it } from 'vitest'
import { crowdingOf } from '../../../src/search/vectors/crowding.ts'
import { groupsOf } from '../../../src/search/vectors/duplicates.ts'
import { product, type Vectors } from '../../../src/search/vectors/unit-vectors.ts'
import { circle, cosine } from './random-vectors.ts'

/** The groups of all pairs. */
function groupsIn(vectors: Vectors, threshold: number) {
  const pairs: [number, number, number][] = []
  for (let a = 0; a < vectors.count; a++)
    for (let b = a + 1; b < vectors.count; b++) {
      const similarity = product(vectors, a, vectors, b)
      if (similarity >= threshold) pairs.push([a, b, similarity])
    }
  return groupsOf(vectors.count, pairs)
}
const crowding = (vectors: Vectors, threshold: number) =>
  crowdingOf(vectors, groupsIn(vectors, threshold), threshold)
const degrees = (count: number, of: (i: number) => number) =>
  circle(...Array.from({ length: count }, (_, i) => of(i)))

describe('a threshold', () => {
  it('that joins neighbours to a chain tells nothing apart', () => {
    // A hundred vectors, 1° apart: Σ (100 − d) for d = 1 … 11 of the 4950 pairs are within 11.5°.
    const found = crowding(
      degrees(100, (i) => i),
      cosine(11.5),
    )!
    expect(found.largest).toBe(100)
    expect(found.density).toBeCloseTo(1034 / 4950, 1)
    expect(found.ofAll).toBeCloseTo(1034 / 4950, 1)
  })

  it('at which nearly all are alike tells nothing apart, either', () => {
    expect(
      crowding(
        degrees(40, (i) => i / 20),
        cosine(11.5),
      ),
    ).toEqual({
      ...{ largest: 40, density: 1, ofAll: 1 },
    })
  })

  it('that joins copies is right, be there many of them', () => {
    // Thirty copies and forty others, 8° apart.
    const mixed = (apart: number) => degrees(70, (i) => (i < 30 ? 0 : 8 + (i - 30) * apart))
    expect(crowding(mixed(8), cosine(4))).toBeNull()
    expect(crowding(mixed(8), cosine(9))).not.toBeNull()
  })

  it('is not judged by small groups', () => {
    expect(
      crowding(
        degrees(19, (i) => i),
        cosine(1.5),
      ),
    ).toBeNull()
    // Twenty in a chain, a tenth of all; or a little less.
    const far = (others: number) => degrees(20 + others, (i) => (i < 20 ? i : 21 + (i - 19) * 1.6))
    expect(crowding(far(180), cosine(1.2))).toMatchObject({ largest: 20 })
    expect(crowding(far(181), cosine(1.2))).toBeNull()
    expect(crowding(circle(0, 1), cosine(5))).toBeNull()
  })
})
