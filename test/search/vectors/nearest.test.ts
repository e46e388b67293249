import { afterAll, describe, expect, it } from 'vitest'
import { openExact } from '../../../src/search/vectors/exact.ts'
import { nearest } from '../../../src/search/vectors/nearest.ts'
import { nearestSimilarities, neighbourhoodsOf } from '../../../src/search/vectors/neighbourhoods.ts'
import { pickVectors, unitVectors, type Vectors } from '../../../src/search/vectors/unit-vectors.ts'
import { circle, cosine, randomVectors } from './random-vectors.ts'

const closing: (() => Promise<void>)[] = []
afterAll(() => Promise.all(closing.map((close) => close())))

async function search(vectors: Vectors) {
  const candidates = await openExact(vectors, { threads: 1 })
  closing.push(() => candidates.close())
  return { vectors, candidates }
}

/** Every product in float64, sorted. */
function bruteForce(vectors: Vectors, query: ArrayLike<number>, count: number): number[] {
  const { width, values } = vectors
  const scores = Array.from({ length: vectors.count }, (_, row) => {
    let sum = 0
    for (let d = 0; d < width; d++) sum += values[row * width + d]! * query[d]!
    return sum
  })
  return [...scores.keys()].sort((a, b) => scores[b]! - scores[a]! || a - b).slice(0, count)
}

describe('exact search', () => {
  it('gives cosines by hand', async () => {
    const { vectors, candidates } = await search(circle(0, 10, 90, 200))
    const [found] = await nearest(circle(30), { vectors, candidates, count: 3 })
    expect(found!.map(({ row }) => row)).toEqual([1, 0, 2])
    for (const [i, angle] of [20, 30, 60].entries())
      expect(found![i]!.similarity).toBeCloseTo(cosine(angle), 6)
  })

  it('finds what comparing all with all finds, over several blocks and batches', async () => {
    const vectors = randomVectors(20_000, 12, { spread: 0.2 })
    const { candidates } = await search(vectors)
    const queries = randomVectors(40, 12, { seed: 2 })
    const found = await nearest(queries, { vectors, candidates: { ...candidates, atOnce: 16 }, count: 25 })
    expect(found).toHaveLength(40)
    for (const [q, list] of found.entries())
      expect(list.map(({ row }) => row)).toEqual(
        bruteForce(vectors, queries.values.subarray(q * 12, (q + 1) * 12), 25),
      )
  })

  it('tells the lower row first of equally near ones, wherever they lie', async () => {
    const { values } = randomVectors(20_000, 3, { spread: 2 })
    const same = [17_000, 4, 16_384, 9000, 300]
    for (const row of same) values.set([0, 0, 1], row * 3)
    const { vectors, candidates } = await search({ count: 20_000, width: 3, values })
    const query = unitVectors({ count: 1, width: 3, values: Float32Array.of(0, 0, 5) })
    const [found] = await nearest(query, { vectors, candidates, count: 5 })
    expect(found).toEqual([4, 300, 9000, 16_384, 17_000].map((row) => ({ row, similarity: 1 })))
  })

  it('leaves out a query itself, and gives all when there are fewer', async () => {
    const { vectors, candidates } = await search(circle(0, 1, 3))
    const found = await nearest(pickVectors(vectors, [1, 2]), {
      ...{ vectors, candidates, count: 9 },
      except: (i) => [1, null][i]!,
    })
    expect(found.map((list) => list.map(({ row }) => row))).toEqual([
      [0, 2],
      [2, 1, 0],
    ])
  })

  it('refuses a query of another width', async () => {
    const options = { ...(await search(circle(0, 1))), count: 1 }
    await expect(nearest(randomVectors(1, 3), options)).rejects.toThrow('holds vectors of 2 numbers')
  })

  it('lets others have their turn', async () => {
    const vectors = randomVectors(4000, 64)
    const { candidates } = await search(vectors)
    let turns = 0
    let isSearching = true
    const turn = () => {
      turns++
      if (isSearching) setImmediate(turn)
    }
    setImmediate(turn)
    await nearest(vectors, { vectors, candidates: { ...candidates, atOnce: 100 }, count: 50 })
    isSearching = false
    expect(turns).toBeGreaterThan(2)
  })
})

describe('neighbourhoods', () => {
  it('are the nearest others of every vector', async () => {
    const { vectors, candidates } = await search(circle(0, 10, 25))
    const found = await neighbourhoodsOf(vectors, candidates, 5)
    expect([found.neighbours, [...found.rows]]).toEqual([2, [1, 2, 0, 2, 1, 0]])
    const wanted = [10, 25, 10, 15, 15, 25].map(cosine)
    for (const [i, want] of wanted.entries()) expect(found.similarities[i]).toBeCloseTo(want, 6)
    expect(nearestSimilarities(found)[0]).toBeCloseTo(cosine(15), 6)
  })

  it('of one vector are empty', async () => {
    const { vectors, candidates } = await search(circle(7))
    const found = await neighbourhoodsOf(vectors, candidates, 5)
    expect([found.neighbours, [...nearestSimilarities(found)]]).toEqual([0, []])
  })
})
