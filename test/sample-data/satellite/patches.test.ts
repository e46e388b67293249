import { describe, expect, it } from 'vitest'
import { draws } from '../../../src/random/draws.ts'
import { coverNames } from '../../../src/sample-data/satellite/covers.ts'
import { drawParcels } from '../../../src/sample-data/satellite/parcels.ts'
import { drawPatches, drawShares } from '../../../src/sample-data/satellite/patches.ts'

const drawn = (index: number) => draws({ seed: 1, stream: 'patches', epoch: 0, index })

describe('drawShares', () => {
  it('gives one cover about half and two or three others the rest', () => {
    const counts = new Set<number>()
    const others = new Set<string>()
    for (let index = 0; index < 200; index++) {
      const shares = drawShares(drawn(index), 'town')
      const [dominant, most] = shares[0]!
      const rest = shares.slice(1)
      counts.add(rest.length)
      expect(dominant).toBe('town')
      expect(most).toBeGreaterThanOrEqual(0.48)
      for (const [cover, share] of rest) {
        others.add(cover)
        expect(share).toBeGreaterThan(0.07)
        expect(share).toBeLessThan(most - 0.08)
      }
      expect(rest.reduce((sum, [, share]) => sum + share, most)).toBeCloseTo(1, 12)
    }
    expect([...counts].sort()).toEqual([2, 3])
    expect([...others].sort()).toEqual(coverNames.filter((name) => name !== 'town'))
  })
})

describe('drawParcels', () => {
  it('parts the land into pieces that hang together and are small beside the scene', () => {
    for (let index = 0; index < 20; index++) {
      const { at, count } = drawParcels(drawn(index), { size: 48, noise: () => 0 })
      const areas = new Map<number, number>()
      for (let y = -24; y < 24; y++)
        for (let x = -24; x < 24; x++) {
          const parcel = at(x + 0.5, y + 0.5)
          expect(parcel).toBeLessThan(count)
          areas.set(parcel, (areas.get(parcel) ?? 0) + 1)
        }
      expect(areas.size).toBeGreaterThan(10)
      expect(Math.max(...areas.values())).toBeLessThan(0.2 * 48 * 48)
    }
  })
})

describe('drawPatches', () => {
  it.each(coverNames)('%s: gives every point a cover, by the shares', (dominant) => {
    for (const size of [16, 48])
      for (let index = 0; index < 15; index++) {
        const { labels } = drawPatches(drawn(index), { dominant, size })
        expect(labels).toHaveLength(4 * size * size)
        const shares = coverNames.map(
          (_, label) => labels.filter((each) => each === label).length / labels.length,
        )
        const present = shares.filter((share) => share > 0)
        expect(present.length).toBeGreaterThanOrEqual(size > 16 ? 3 : 2)
        expect(present.length).toBeLessThanOrEqual(4)
        // Nearest whole parcel, on the smallest scenes too.
        const most = shares[coverNames.indexOf(dominant)]!
        expect(most).toBe(Math.max(...shares))
        expect(most).toBeGreaterThan(0.4)
      }
  })
})
