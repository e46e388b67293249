import { expect, it } from 'vitest'
import { openExact } from '../../../src/search/vectors/exact.ts'
import { neighbourhoodsOf } from '../../../src/search/vectors/neighbourhoods.ts'
import { outliersOf } from '../../../src/search/vectors/outliers.ts'
import { circle, cosine } from './random-vectors.ts'

it('outliers are far from their neighbours', async () => {
  const vectors = circle(0, 10, 20, 90)
  const candidates = await openExact(vectors, { threads: 1 })
  const found = outliersOf(await neighbourhoodsOf(vectors, candidates, 2))
  await candidates.close()

  const score = (...degrees: number[]) =>
    degrees.reduce((sum, angle) => sum + 1 - cosine(angle), 0) / degrees.length
  const wanted = [
    [3, score(70, 80), 1 - cosine(80)],
    [0, score(10, 20), 1 - cosine(20)], // as far as the next, and before it
    [2, score(10, 20), 1 - cosine(20)],
    [1, score(10, 10), 1 - cosine(10)],
  ]
  expect(found[0]!.row).toBe(3)
  expect(found[3]!.row).toBe(1)
  for (const [row, mean, farthest] of wanted) {
    const outlier = found.find((each) => each.row === row)!
    expect(outlier.score).toBeCloseTo(mean!, 6)
    expect(outlier.farthest).toBeCloseTo(farthest!, 6)
  }
})

it('neighbours that an approximate search has not found do not count', () => {
  const rows = Int32Array.of(1, -1, 0, -1)
  const similarities = Float64Array.of(0.5, -1, 0.5, -1)
  expect(outliersOf({ count: 2, neighbours: 2, rows, similarities })).toEqual([
    { row: 0, score: 0.5, farthest: 0.5 },
    { row: 1, score: 0.5, farthest: 0.5 },
  ])
})
