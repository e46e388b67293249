import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openExact } from '../../../src/search/vectors/exact.ts'
import { nearest } from '../../../src/search/vectors/nearest.ts'
import {
  buildGraph,
  type GraphSettings,
  graphDefaults,
  openGraph,
} from '../../../src/search/vectors/neighbour-graph.ts'
import { recallOf, tuneGraph } from '../../../src/search/vectors/recall.ts'
import { pickVectors } from '../../../src/search/vectors/unit-vectors.ts'
import { circle, randomVectors } from './random-vectors.ts'

const dir = mkdtempSync(join(tmpdir(), 'sherd-graph-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const vectors = randomVectors(3000, 16)
const queries = pickVectors(
  vectors,
  Array.from({ length: 100 }, (_, i) => 7 * i),
)

async function graph(name: string, settings: GraphSettings) {
  const path = join(dir, name)
  await buildGraph(path, vectors, settings)
  return path
}

describe('a graph', () => {
  it('finds nearly what an exact search finds, with the same similarities', async () => {
    const path = await graph('usual', graphDefaults)
    const exact = await openExact(vectors, { threads: 1 })
    const candidates = await openGraph(path, vectors, { settings: graphDefaults, threads: 1 })
    const [truth, found] = [
      await nearest(queries, { vectors, candidates: exact, count: 10 }),
      await nearest(queries, { vectors, candidates, count: 10 }),
    ]
    await exact.close()
    expect(recallOf(truth, found)).toBeGreaterThan(0.97)
    expect(found[0]![0]).toEqual(truth[0]![0]) // itself
    const one = await nearest(pickVectors(vectors, [70]), { vectors, candidates, count: 10 })
    expect(one[0]).toEqual(found[10])
  })

  it('of the same vectors is the same file', async () => {
    const [a, b] = [await graph('a', graphDefaults), await graph('b', graphDefaults)]
    expect(readFileSync(a).equals(readFileSync(b))).toBe(true)
  })

  it('of other vectors, or none at all, is refused', async () => {
    const path = await graph('other', graphDefaults)
    const options = { settings: graphDefaults, threads: 1 }
    await expect(openGraph(path, { count: 2999, width: 16 }, options)).rejects.toThrow('expected 2999 of 16')
    await expect(openGraph(join(dir, 'none'), vectors, options)).rejects.toThrow('is missing')
  })

  it('is searched more widely until it finds enough', async () => {
    const poor = { connectivity: 3, expansionAdd: 8, expansionSearch: 1 }
    const path = await graph('poor', poor)
    const exact = await openExact(vectors, { threads: 1 })
    const open = (settings: GraphSettings) => openGraph(path, vectors, { settings, threads: 1 })
    const truth = await nearest(queries, { vectors, candidates: exact, count: 10 })
    const before = await nearest(queries, { vectors, candidates: await open(poor), count: 10 })
    expect(recallOf(truth, before)).toBeLessThan(0.9)

    const { settings, recall } = await tuneGraph(vectors, { exact, open, settings: poor })
    expect(settings.expansionSearch).toBeGreaterThan(1)
    expect(recall >= 0.95 || settings.expansionSearch === 2048).toBe(true)
    const after = await nearest(queries, { vectors, candidates: await open(settings), count: 10 })
    await exact.close()
    expect(recallOf(truth, after)).toBeGreaterThan(recallOf(truth, before))
  })
})

describe('recall', () => {
  const near = (...similarities: number[]) => [similarities.map((similarity, row) => ({ row, similarity }))]

  it('is the share of the exact neighbours that were found', () => {
    expect(recallOf(near(0.9, 0.8, 0.7, 0.6), near(0.9, 0.7, 0.5, 0.4))).toBe(0.5)
    expect(recallOf(near(0.9, 0.8), near(0.9))).toBe(0.5)
  })

  it('accepts any of equal vectors', () => {
    expect(recallOf([[{ row: 1, similarity: 1 }]], [[{ row: 9, similarity: 1 }]])).toBe(1)
  })
})

it('a vector that is asked for alone is found in a graph of few', async () => {
  const few = circle(0, 90, 180)
  const path = join(dir, 'few')
  await buildGraph(path, few, graphDefaults)
  const candidates = await openGraph(path, few, { settings: graphDefaults, threads: 1 })
  const found = await nearest(circle(80, 170), { vectors: few, candidates, count: 9 })
  expect(found.map((list) => list.map(({ row }) => row))).toEqual([
    [1, 0, 2],
    [2, 1, 0],
  ])
})
