import { describe, expect, it } from 'vitest'
import {
  type CoverName,
  coverNames,
  type Moment,
  reflectanceOf,
} from '../../../src/sample-data/satellite/covers.ts'
import { bands } from '../../../src/sample-data/satellite/sentinel-bands.ts'

type BandName = (typeof bands)[number]['name']
const at = (cover: CoverName, moment: Moment, band: BandName) =>
  reflectanceOf(cover, moment)[bands.findIndex(({ name }) => name === band)]!
const ndvi = (cover: CoverName, day: number) => {
  const [red, infrared] = [at(cover, { day }, 'B4'), at(cover, { day }, 'B8')]
  return (infrared - red) / (infrared + red)
}
const year = Array.from({ length: 53 }, (_, week) => 1 + 7 * week)
const [may, july, august] = [125, 200, 222]

describe('reflectanceOf', () => {
  it('knows eight covers, in the order of their names', () => {
    expect(coverNames).toHaveLength(8)
    expect([...coverNames].sort()).toEqual(coverNames)
  })

  it.each(coverNames)('%s: is a reflectance on every day, and changes slowly', (cover) => {
    for (const vigour of [-1, 0, 1])
      for (let day = 1; day < 366; day++) {
        const today = reflectanceOf(cover, { day, vigour })
        const tomorrow = reflectanceOf(cover, { day: day + 1, vigour })
        for (const [b, value] of today.entries()) {
          expect(value).toBeGreaterThan(0)
          expect(value).toBeLessThan(0.6)
          // A cut or a harvest takes a pixel a few days.
          expect(Math.abs(tomorrow[b]! - value)).toBeLessThan(0.08)
        }
      }
  })

  it.each([
    ['winter-cereal', may],
    ['grassland', may],
    ['maize', july],
    ['deciduous', july],
    ['conifer', july],
  ] as const)('%s in leaf: dark in red, steep at the red edge, bright in the near infrared', (cover, day) => {
    const [green, red, edge, steep, infrared] = (['B3', 'B4', 'B5', 'B6', 'B8'] as const).map((band) =>
      at(cover, { day }, band),
    )
    expect(infrared!).toBeGreaterThan(5 * red!)
    expect(infrared!).toBeGreaterThan(2.5 * edge!)
    expect(green!).toBeGreaterThan(red!)
    expect(edge!).toBeGreaterThan(red!)
    expect(steep!).toBeGreaterThan(2 * edge!)
    expect(infrared!).toBeGreaterThan(at(cover, { day }, 'B11'))
  })

  it('makes water the darkest in the short-wave infrared and the only one that falls from green on', () => {
    for (const day of year)
      for (const band of ['B11', 'B12'] as const)
        for (const cover of coverNames.filter((name) => name !== 'water'))
          expect(at('water', { day }, band)).toBeLessThan(0.2 * at(cover, { day }, band))
    for (const cover of coverNames)
      expect(at(cover, { day: july }, 'B8') < at(cover, { day: july }, 'B3')).toBe(cover === 'water')
  })

  it('turns the year: cereal is green in May, maize in August, and both are bare in between', () => {
    expect(ndvi('winter-cereal', may) - ndvi('winter-cereal', august)).toBeGreaterThan(0.4)
    expect(ndvi('maize', august) - ndvi('maize', may)).toBeGreaterThan(0.4)
    expect(Math.abs(ndvi('maize', may) - ndvi('bare-soil', may))).toBeLessThan(0.1)
    expect(ndvi('deciduous', july) - ndvi('deciduous', 60)).toBeGreaterThan(0.3)
    // Ripe cereal is straw: bright in the short-wave infrared, and brighter there than bare soil in red.
    expect(at('winter-cereal', { day: july }, 'B11')).toBeGreaterThan(
      at('winter-cereal', { day: may }, 'B11') * 1.5,
    )
  })

  it('lets conifers change the least of all that grows', () => {
    const swing = (cover: CoverName) => {
      const values = year.map((day) => ndvi(cover, day))
      return Math.max(...values) - Math.min(...values)
    }
    for (const cover of ['deciduous', 'grassland', 'maize', 'winter-cereal'] as const) {
      expect(swing(cover)).toBeGreaterThan(0.15)
      expect(swing('conifer')).toBeLessThan(0.2 * swing(cover))
    }
  })

  it('makes what looks alike in true colour differ beyond it', () => {
    const colour = (cover: CoverName, day: number) =>
      (['B2', 'B3', 'B4'] as const).map((band) => at(cover, { day }, band))
    const apart = (a: CoverName, b: CoverName, day: number) =>
      Math.max(...colour(a, day).map((value, c) => Math.abs(value - colour(b, day)[c]!)))
    const look = [
      ['conifer', 'deciduous', july],
      ['grassland', 'winter-cereal', may],
      ['grassland', 'maize', july],
    ] as const
    for (const [a, b, day] of look) {
      expect(apart(a, b, day)).toBeLessThan(0.03)
      const beyond = (['B6', 'B8', 'B11', 'B12'] as const).map((band) =>
        Math.abs(at(a, { day }, band) - at(b, { day }, band)),
      )
      expect(Math.max(...beyond)).toBeGreaterThan(0.03)
    }
    expect(at('deciduous', { day: july }, 'B8')).toBeGreaterThan(1.7 * at('conifer', { day: july }, 'B8'))
  })

  it('mixes by hand: half sand, wet, is 0.32 darker in red and 0.45 in B12; gardens do not reach roofs', () => {
    const soil = { day: 1, vigour: -1 } // no weeds: loam and sand alone
    const red = (0.115 + 0.19) / 2
    expect(at('bare-soil', soil, 'B4')).toBeCloseTo(red, 10)
    expect(at('bare-soil', { ...soil, wetness: 1 }, 'B4')).toBeCloseTo(0.68 * red, 10)
    expect(at('bare-soil', { ...soil, wetness: 1, sand: 0 }, 'B12')).toBeCloseTo(0.55 * 0.235, 10)
    expect(reflectanceOf('redRoof', { day: 200, wetness: 1 })[2]).toBe(0.15)
    expect(at('maize', { day: july, vigour: 1 }, 'B8')).toBeGreaterThan(
      at('maize', { day: july, vigour: -1 }, 'B8'),
    )
  })
})
