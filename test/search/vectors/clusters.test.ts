import { describe, expect, it } from 'vitest'
import { clusterDefaults, clustersOf, membersOf } from '../../../src/search/vectors/clusters.ts'
import { agreementOf } from '../../../src/search/vectors/label-agreement.ts'
import { silhouetteOf } from '../../../src/search/vectors/silhouette.ts'
import { circle, randomVectors } from './random-vectors.ts'

const options = { ...clusterDefaults, clusters: 4 }

describe('k-means', () => {
  it('finds clusters that are well apart, numbered by size', async () => {
    const vectors = randomVectors(400, 8, { centres: 4, spread: 0.05 })
    const found = await clustersOf(vectors, options)
    expect(agreementOf(found.assigned, vectors.labels)).toEqual({ nmi: expect.closeTo(1, 9), purity: 1 })
    expect([...found.sizes].sort((a, b) => b - a)).toEqual(found.sizes)
    expect(found.sizes.reduce((a, b) => a + b)).toBe(400)
  })

  it('is the same for the same seed', async () => {
    const vectors = randomVectors(300, 6, { spread: 1 })
    const [a, b] = [await clustersOf(vectors, options), await clustersOf(vectors, options)]
    expect([...a.assigned]).toEqual([...b.assigned])
  })

  it('measures to the mean: one cluster leaves n − n · |mean|²', async () => {
    const { inertia, centroids, distances } = await clustersOf(circle(0, 90), { ...options, clusters: 1 })
    expect([...centroids[0]!]).toEqual([expect.closeTo(0.5, 6), expect.closeTo(0.5, 6)])
    expect(inertia).toBeCloseTo(2 - 2 * 0.5, 6)
    expect(distances[0]).toBeCloseTo(Math.SQRT1_2, 6)
  })

  it('learns from a sample of many, and sorts all', async () => {
    const vectors = randomVectors(500, 8, { centres: 4, spread: 0.05 })
    const found = await clustersOf(vectors, { ...options, perCluster: 25, leastSample: 50 })
    expect([found.sampled, found.assigned.length]).toEqual([100, 500])
    expect(agreementOf(found.assigned, vectors.labels).purity).toBe(1)
  })

  it('tells the members nearest to the centroid first', async () => {
    const found = await clustersOf(circle(0, 4, 8, 180, 182), { ...options, clusters: 2 })
    const members = membersOf(found)
    expect(members[0]![0]).toBe(1)
    expect(members.map((rows) => [...rows].sort())).toEqual([
      [0, 1, 2],
      [3, 4],
    ])
  })

  it('can give each vector a cluster of its own, and no more', async () => {
    const { sizes, inertia } = await clustersOf(circle(0, 100, 200), { ...options, clusters: 3 })
    expect(sizes).toEqual([1, 1, 1])
    expect(inertia).toBeCloseTo(0, 6)
    await expect(clustersOf(circle(0, 1), { ...options, clusters: 3 })).rejects.toThrow('take from 1 to 2')
  })

  it('takes equal vectors', async () => {
    const { sizes } = await clustersOf(circle(5, 5, 5, 5), { ...options, clusters: 2 })
    expect(sizes.reduce((a, b) => a + b)).toBe(4)
  })
})

describe('the silhouette', () => {
  const chord = (degrees: number) => 2 * Math.sin((degrees * Math.PI) / 360)

  it('is that of hand', async () => {
    // 0° and 10° in one cluster, 90° and 110° in the other.
    const value = (own: number, ...others: number[]) => {
      const b = others.reduce((sum, angle) => sum + chord(angle), 0) / others.length
      return (b - chord(own)) / Math.max(b, chord(own))
    }
    const wanted = (value(10, 90, 110) + value(10, 80, 100) + value(20, 90, 80) + value(20, 110, 100)) / 4
    const made = await silhouetteOf(circle(0, 10, 90, 110), Int32Array.of(0, 0, 1, 1))
    expect(made).toBeCloseTo(wanted, 5)
  })

  it('of one that is alone is 0, and of one cluster there is none', async () => {
    const a = (chord(80) - chord(10)) / chord(80)
    const b = (chord(90) - chord(10)) / chord(90)
    expect(await silhouetteOf(circle(0, 10, 90), Int32Array.of(0, 0, 1))).toBeCloseTo((a + b) / 3, 5)
    expect(await silhouetteOf(circle(0, 10), Int32Array.of(0, 0))).toBeNull()
  })

  it('is the same for equal vectors as for none between them', async () => {
    expect(await silhouetteOf(circle(0, 0, 0, 0), Int32Array.of(0, 0, 1, 1))).toBe(0)
  })
})

describe('agreement with labels', () => {
  it.each<[string, number[], number[], number, number]>([
    ['the same under other names', [1, 1, 0, 0], [0, 0, 1, 1], 1, 1],
    ['one cluster', [0, 0, 0, 0], [0, 0, 1, 1], 0, 0.5],
    ['a class in two clusters', [0, 0, 1, 2], [0, 0, 1, 1], 0.8, 1], // I = 1 bit, H = 1.5 and 1
    ['nothing in common', [0, 1, 0, 1], [0, 0, 1, 1], 0, 0.5],
    ['nothing said', [0, 0], [0, 0], 1, 1],
  ])('of %s', (_, clusters, labels, nmi, purity) => {
    expect(agreementOf(clusters, labels)).toEqual({ nmi: expect.closeTo(nmi, 9), purity })
  })
})
