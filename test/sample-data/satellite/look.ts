// Looks at generated places: what tests ask of them.

import { dateOf, type Visit } from '../../../src/sample-data/satellite/calendar.ts'
import { type CoverName, coverNames } from '../../../src/sample-data/satellite/covers.ts'
import { coverMap, drawLandscape, type Place } from '../../../src/sample-data/satellite/landscape.ts'
import { type Observation, observe } from '../../../src/sample-data/satellite/observe.ts'
import { bands } from '../../../src/sample-data/satellite/sentinel-bands.ts'

export type BandName = (typeof bands)[number]['name']

export const placeOf = (dominant: CoverName, index = 0, size = 48): Place => ({
  dominant,
  seed: 7,
  index,
  size,
})

export const clearVisit = (day: number, number = 0): Visit => ({
  number,
  day,
  date: dateOf(day),
  clouds: 0,
  missing: 0,
})

export interface Look extends Observation {
  /** Covers of the pixels. */
  readonly map: Uint8Array
  /** The reflectances of a band, [size, size], as files of the layout `stack` have them. */
  readonly at: (band: BandName) => Float64Array
}

export function look(place: Place, visit: Visit): Look {
  const { size } = place
  const land = drawLandscape(place)
  const seen = observe(land, { place, visit })
  const at = (name: BandName) => {
    const b = bands.findIndex((band) => band.name === name)
    const by = bands[b]!.metres / 10
    return Float64Array.from(
      { length: size * size },
      (_, i) =>
        seen.bands[b]![Math.floor(i / size / by) * (size / by) + Math.floor((i % size) / by)]! / 10_000,
    )
  }
  return { ...seen, map: coverMap(land), at }
}

export const mean = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((sum, value) => sum + value, 0) / values.length

/** The mean reflectance of the pixels that are mostly a cover. */
export function meanOver(
  { map, at, hidden }: Look,
  { cover, band }: { cover: CoverName; band: BandName },
): number {
  const label = coverNames.indexOf(cover)
  return mean(at(band).filter((_, i) => map[i] === label && hidden[i] === 0))
}

export function ndviOver(seen: Look, cover: CoverName): number {
  const [red, infrared] = [meanOver(seen, { cover, band: 'B4' }), meanOver(seen, { cover, band: 'B8' })]
  return (infrared - red) / (infrared + red)
}
