import { describe, expect, it } from 'vitest'
import { duplicatesOf, groupsOf } from '../../../src/search/vectors/duplicates.ts'
import { openExact } from '../../../src/search/vectors/exact.ts'
import { neighbourhoodsOf } from '../../../src/search/vectors/neighbourhoods.ts'
import type { Vectors } from '../../../src/search/vectors/unit-vectors.ts'
import { circle, cosine, randomVectors } from './random-vectors.ts'

async function find(vectors: Vectors, threshold: number, { neighbours = 32, isExact = true } = {}) {
  const candidates = await openExact(vectors, { threads: 1 })
  const neighbourhoods = await neighbourhoodsOf(vectors, candidates, neighbours)
  const found = await duplicatesOf(vectors, { candidates, neighbourhoods, threshold, isExact })
  await candidates.close()
  return found
}

describe('groups', () => {
  it('are what pairs hold together, the largest first', () => {
    const pairs = [
      [7, 8, 0.99],
      [1, 3, 0.9],
      [5, 3, 0.95],
      [5, 1, 0.92],
    ] as const
    expect(groupsOf(9, pairs)).toEqual([
      { rows: [1, 3, 5], least: 0.9, most: 0.95 },
      { rows: [7, 8], least: 0.99, most: 0.99 },
    ])
    expect(groupsOf(3, [])).toEqual([])
  })
})

describe('near-duplicates', () => {
  it('are joined by chains', async () => {
    // 0°, 3° and 6°: the outer two are farther apart than the threshold.
    const { groups, pairs, isComplete } = await find(circle(0, 60, 3, 120, 6), cosine(3.5))
    expect([pairs, isComplete]).toEqual([2, true])
    expect(groups.map(({ rows }) => rows)).toEqual([[0, 2, 4]])
    expect(groups[0]!.least).toBeCloseTo(cosine(3), 6)
  })

  it('are none above every similarity', async () => {
    expect((await find(circle(0, 60, 120), 0.9)).groups).toEqual([])
    expect((await find(circle(5), 0.9)).groups).toEqual([])
  })

  it('are all found though there are more of them than neighbours', async () => {
    const { count, width, values } = randomVectors(200, 8, { spread: 2 })
    const same = Array.from({ length: 60 }, (_, i) => 3 * i)
    for (const row of same) values.set([1, 0, 0, 0, 0, 0, 0, 0], row * 8)
    const found = await find({ count, width, values }, 0.9999, { neighbours: 4 })
    expect(found.groups).toEqual([{ rows: same, least: 1, most: 1 }])
    expect([found.pairs, found.isComplete]).toEqual([(60 * 59) / 2, true])
  })

  it('with a threshold of 1 are all that are the same', async () => {
    // Lengths of float32 vectors are 1 but for rounding: half of such pairs have a product below it.
    const { count, width, values } = randomVectors(40, 192, { spread: 2 })
    const twice = Float32Array.of(...values, ...values)
    const found = await find({ count: 2 * count, width, values: twice }, 1)
    expect(found.groups.map(({ rows }) => rows)).toEqual(
      expect.arrayContaining(Array.from({ length: count }, (_, row) => [row, count + row])),
    )
    expect(found.pairs).toBe(count)
    expect(Math.max(...found.groups.map(({ most }) => most))).toBeLessThanOrEqual(1)
  })

  it('agree with comparing all with all', async () => {
    const vectors = randomVectors(300, 6, { spread: 0.3 })
    const expected: (readonly [number, number, number])[] = []
    for (let a = 0; a < 300; a++)
      for (let b = a + 1; b < 300; b++) {
        let sum = 0
        for (let d = 0; d < 6; d++) sum += vectors.values[a * 6 + d]! * vectors.values[b * 6 + d]!
        if (sum >= 0.985) expected.push([a, b, sum])
      }
    const found = await find(vectors, 0.985, { neighbours: 3 })
    expect(expected.length).toBeGreaterThan(50)
    expect(found.pairs).toBe(expected.length)
    expect(found.groups.map(({ rows }) => rows)).toEqual(groupsOf(300, expected).map(({ rows }) => rows))
  })

  it('by an approximate search are never said to be all', async () => {
    expect((await find(circle(0, 1), 0.9, { isExact: false })).isComplete).toBe(false)
  })
})
