import { describe, expect, it } from 'vitest'
import { coverNames } from '../../../src/sample-data/satellite/covers.ts'
import { coverMap, drawLandscape } from '../../../src/sample-data/satellite/landscape.ts'
import { placeOf } from './look.ts'

describe('drawLandscape', () => {
  it.each(coverNames)('%s: is a pure function of the place, and holds what its class says', (dominant) => {
    for (let index = 0; index < 8; index++) {
      const place = placeOf(dominant, index)
      const land = drawLandscape(place)
      expect(drawLandscape(place)).toEqual(land)
      expect(drawLandscape({ ...place, seed: 8 })).not.toEqual(land)
      const map = coverMap(land)
      const areas = coverNames.map((_, label) => map.filter((each) => each === label).length)
      expect(areas.indexOf(Math.max(...areas))).toBe(coverNames.indexOf(dominant))
      expect(Math.max(...areas) / map.length).toBeGreaterThan(0.38)
      expect(areas.filter((area) => area > 0).length).toBeGreaterThanOrEqual(3)
      const [east, north] = land.corner
      expect([east % 20, north % 20]).toEqual([0, 0])
      expect([east > 399_000 && east < 700_000, north > 5_399_000 && north < 5_701_000]).toEqual([true, true])
    }
  })

  it('makes a town of roofs, streets and gardens', () => {
    const { surface, surfaces } = drawLandscape(placeOf('town'))
    const label = coverNames.indexOf('town')
    const parts = new Set(
      [...surface].flatMap((at) => (surfaces[at]!.label === label ? [surfaces[at]!.kind] : [])),
    )
    expect([...parts].sort()).toEqual(['asphalt', 'garden', 'greyRoof', 'redRoof'])
  })

  it('gives every field its own look', () => {
    const { surfaces } = drawLandscape(placeOf('maize'))
    const fields = surfaces.filter(({ kind }) => kind === 'maize')
    expect(fields.length).toBeGreaterThan(4)
    expect(new Set(fields.map(({ late }) => late)).size).toBe(fields.length)
  })
})

it('coverMap takes the cover of most of a pixel’s four points, of two alike the first', () => {
  const surface = Uint16Array.of(...[0, 1, 1, 1], ...[0, 0, 0, 1], ...[2, 2, 0, 2], ...[1, 1, 0, 2])
  const surfaces = [4, 2, 7].map((label) => ({
    kind: 'water' as const,
    ...{ label, late: 0, vigour: 0, brightness: 1 },
  }))
  const nothing = {
    greener: new Float32Array(16),
    brighter: new Float32Array(16),
    height: new Float32Array(4),
  }
  const land = { size: 2, surface, surfaces, ...nothing, sand: 0, corner: [0, 0] as const }
  expect([...coverMap(land)]).toEqual([4, 2, 2, 4])
})
