import { describe, expect, it } from 'vitest'
import { drawVisits } from '../../../src/sample-data/satellite/calendar.ts'
import { coverNames, reflectanceOf } from '../../../src/sample-data/satellite/covers.ts'
import { drawLandscape } from '../../../src/sample-data/satellite/landscape.ts'
import { observe } from '../../../src/sample-data/satellite/observe.ts'
import { bands } from '../../../src/sample-data/satellite/sentinel-bands.ts'
import { type Labelled, ridgeAccuracy } from '../ridge.ts'
import { clearVisit, look, mean, meanOver, ndviOver, placeOf } from './look.ts'

const [may, july, august] = [125, 200, 222]
const several = [0, 1, 2, 3, 4]

describe('observe', () => {
  it('is a pure function of place and date, and gives each band its own resolution', () => {
    const place = placeOf('grassland')
    const land = drawLandscape(place)
    const seen = observe(land, { place, visit: clearVisit(may) })
    expect(observe(land, { place, visit: clearVisit(may) })).toEqual(seen)
    expect(observe(land, { place, visit: clearVisit(may, 1) })).not.toEqual(seen) // other air and noise
    expect(seen.bands.map(({ length }) => Math.sqrt(length))).toEqual([
      48, 48, 48, 24, 24, 24, 48, 24, 24, 24,
    ])
    for (const band of seen.bands) expect(Math.min(...band)).toBeGreaterThan(0)
    expect(Math.max(...seen.hidden)).toBe(0)
  })

  it.each(coverNames)('%s: pixels of it have about its spectrum', (cover) => {
    for (const day of [may, august]) {
      const pure = reflectanceOf(cover, { day })
      const looks = several.map((index) => look(placeOf(cover, index), clearVisit(day)))
      for (const [b, { name }] of bands.entries()) {
        const seen = mean(looks.map((each) => meanOver(each, { cover, band: name })))
        // Haze, brighter neighbours that spill into dark pixels, wet soil.
        expect(seen).toBeGreaterThan(0.6 * pure[b]! - 0.01)
        expect(seen).toBeLessThan(1.3 * pure[b]! + 0.03)
      }
    }
  })

  it('shows plants bright in the near infrared, and water the darkest beyond it', () => {
    for (const index of several) {
      const looks = coverNames.map((cover) => ({
        cover,
        seen: look(placeOf(cover, index), clearVisit(july)),
      }))
      const at = (cover: string, band: (typeof bands)[number]['name']) => {
        const { seen, cover: name } = looks.find((each) => each.cover === cover)!
        return meanOver(seen, { cover: name, band })
      }
      for (const cover of ['conifer', 'deciduous', 'grassland', 'maize'])
        expect(at(cover, 'B8')).toBeGreaterThan(3 * at(cover, 'B4'))
      for (const band of ['B11', 'B12'] as const)
        expect(
          coverNames.map((cover) => at(cover, band)).indexOf(Math.min(...coverNames.map((c) => at(c, band)))),
        ).toBe(coverNames.indexOf('water'))
    }
  })

  it('shows the year: cereal greener in May than in August, maize the other way, conifers much the same', () => {
    for (const index of several) {
      const change = (cover: 'winter-cereal' | 'maize' | 'conifer') =>
        ndviOver(look(placeOf(cover, index), clearVisit(august)), cover) -
        ndviOver(look(placeOf(cover, index), clearVisit(may)), cover)
      expect(change('winter-cereal')).toBeLessThan(-0.25)
      expect(change('maize')).toBeGreaterThan(0.25)
      expect(Math.abs(change('conifer'))).toBeLessThan(0.2)
    }
  })

  it('mixes covers at borders, and has texture that hangs together beside noise that does not', () => {
    const { at, map } = look(placeOf('water', 1), clearVisit(july))
    const water = coverNames.indexOf('water')
    const infrared = at('B8')
    const shore = [...map.keys()].filter(
      (i) => i % 48 > 0 && i % 48 < 47 && (map[i - 1] === water) !== (map[i + 1] === water),
    )
    expect(shore.length).toBeGreaterThan(20)
    const between = shore.filter((i) => {
      const [low, high] = [infrared[i - 1]!, infrared[i + 1]!].sort((a, b) => a - b) as [number, number]
      return infrared[i]! > low && infrared[i]! < high
    })
    expect(between.length / shore.length).toBeGreaterThan(0.7)

    const wood = look(placeOf('conifer', 2), clearVisit(july))
    const inside = [...wood.map.keys()].filter(
      (i) => i % 48 < 47 && [0, 1].every((step) => wood.map[i + step] === coverNames.indexOf('conifer')),
    )
    const values = wood.at('B8')
    const usual = mean(inside.map((i) => values[i]!))
    const spread = mean(inside.map((i) => (values[i]! - usual) ** 2))
    const together = mean(inside.map((i) => (values[i]! - usual) * (values[i + 1]! - usual))) / spread
    expect(together).toBeGreaterThan(0.3)
    expect(together).toBeLessThan(0.95)
  })

  it('leaves absolute brightness unreliable, the shape of the spectrum not', () => {
    const looks = Array.from({ length: 12 }, (_, number) =>
      look(placeOf('conifer', 3), clearVisit(july, number)),
    )
    const infrared = looks.map((seen) => Math.log(meanOver(seen, { cover: 'conifer', band: 'B8' })))
    const ratio = looks.map(
      (seen, k) => infrared[k]! - Math.log(meanOver(seen, { cover: 'conifer', band: 'B11' })),
    )
    const deviation = (values: number[]) => Math.sqrt(mean(values.map((v) => (v - mean(values)) ** 2)))
    expect(deviation(infrared)).toBeGreaterThan(0.1)
    expect(deviation(ratio)).toBeLessThan(0.5 * deviation(infrared))
  })

  it('hides the ground under clouds, which are bright in every band, and darkens it beside them', () => {
    const place = placeOf('conifer', 4)
    const clear = look(place, clearVisit(july))
    const cloudy = look(place, { ...clearVisit(july), clouds: 0.2 })
    const isHidden = cloudy.hidden
    expect(mean(isHidden)).toBeGreaterThan(0.05)
    expect(mean(isHidden)).toBeLessThan(0.35)
    for (const band of ['B2', 'B8', 'B12'] as const)
      expect(mean(cloudy.at(band).filter((_, i) => isHidden[i]))).toBeGreaterThan(
        mean(clear.at(band).filter((_, i) => isHidden[i])) + 0.1,
      )
    const [before, after] = [clear.at('B8'), cloudy.at('B8')]
    const darker = [...before.keys()].filter((i) => !isHidden[i] && after[i]! < 0.6 * before[i]!)
    expect(darker.length / before.length).toBeGreaterThan(0.03)
  })

  it('has no data beyond the edge of the swath, exactly where pixels are hidden', () => {
    const seen = look(placeOf('maize', 5), { ...clearVisit(july), missing: 0.3 })
    const missing = bands.map(({ name }) => seen.at(name).map((value) => (value === 0 ? 1 : 0)))
    expect(mean(missing[0]!)).toBeCloseTo(0.3, 1)
    const some = seen.hidden.map((_, i) => Math.max(...missing.map((each) => each[i]!)))
    expect(some).toEqual(seen.hidden)
  })

  it('is a task: what one date tells a linear model is more than colour and less than all', () => {
    const [train, test] = [30, 15]
    // Medians and spreads of the bands, in logarithms.
    const featuresOf = (shown: readonly Uint16Array[]) =>
      shown.flatMap((values) => {
        const known = values.filter((value) => value > 0).sort()
        const median = known[known.length >> 1]!
        return [Math.log(median), Math.log(mean(known.map((v) => (v - median) ** 2)) + 1)]
      })
    const all = coverNames.flatMap((dominant, label) =>
      Array.from({ length: train + test }, (_, index) => {
        const place = placeOf(dominant, index, 32)
        const land = drawLandscape(place)
        const dates = drawVisits(place, 4).map((visit) => featuresOf(observe(land, { place, visit }).bands))
        return { label, index, dates }
      }),
    )
    const accuracy = (of: (sample: (typeof all)[number]) => Float64Array[]) => {
      const labelled = (samples: typeof all): Labelled[] =>
        samples.flatMap((sample) => of(sample).map((features) => ({ features, label: sample.label })))
      return ridgeAccuracy({
        train: labelled(all.filter(({ index }) => index < train)),
        test: labelled(all.filter(({ index }) => index >= train)),
      })
    }
    const colour = accuracy(({ dates }) => dates.map((date) => Float64Array.from(date.slice(0, 2 * 3)))) // of B2, B3 and B4
    const oneDate = accuracy(({ dates }) => dates.map((date) => Float64Array.from(date)))
    const year = accuracy(({ dates }) => [Float64Array.from(dates.flat())])
    expect(colour).toBeLessThan(0.55)
    expect(oneDate).toBeGreaterThan(colour + 0.1)
    expect(oneDate).toBeLessThan(0.85)
    expect(year).toBeGreaterThan(oneDate + 0.1)
  })
})
