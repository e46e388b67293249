/**
 * A place on a date in the form of Sentinel-2 products: ten bands of reflectance × 10,000 at 10 or 20 m, 0 for no data.
 * Spectra are mixed within a pixel and slightly blurred; then come illumination, clouds, atmosphere and sensor noise.
 */

import type { Visit } from './calendar.ts'
import { coverNames, reflectanceOf } from './covers.ts'
import { type Landscape, type Place, placeDraws, type Surface } from './landscape.ts'
import { bands, type Spectrum } from './sentinel-bands.ts'
import { drawAir, drawClouds, drawSwath, lightOn, shaded, sunOn } from './weather.ts'

const SCALE = 10_000
export const NO_DATA = 0

export interface Observation {
  /** For each of `bands`, [side, side]: `size` pixels per side at 10 m, half as many at 20 m. */
  readonly bands: readonly Uint16Array[]
  /** [size, size]: 1 where clouds or the edge of the swath hide the ground. */
  readonly hidden: Uint8Array
}

/** The spectrum of a surface, and its change with greenness. */
function spectraOf(
  { kind, late, vigour, brightness }: Surface,
  moment: { day: number; wetness: number; sand: number },
): { usual: Spectrum; change: Spectrum } {
  const at = (v: number) =>
    reflectanceOf(kind, { ...moment, day: moment.day - late, vigour: Math.min(1, Math.max(-1, v)) })
  const low = at(vigour - 0.5)
  const high = at(vigour + 0.5)
  return {
    usual: low.map((value, b) => (brightness * (value + high[b]!)) / 2),
    change: low.map((value, b) => (brightness * (high[b]! - value)) / 2),
  }
}

/** Mean spectrum of each pixel's four points, [size, size] for each band. */
function mixPoints(land: Landscape, moment: { day: number; wetness: number }): Float32Array[] {
  const { size, surface, surfaces, greener, brighter, sand } = land
  const spectra = surfaces.map((each) => spectraOf(each, { ...moment, sand }))
  const planes = bands.map(() => new Float32Array(size * size))
  const side = 2 * size
  for (let point = 0; point < side * side; point++) {
    const { usual, change } = spectra[surface[point]!]!
    const at = (Math.floor(point / side) >> 1) * size + ((point % side) >> 1)
    const green = greener[point]!
    const weight = Math.exp(brighter[point]!) / 4
    for (let b = 0; b < bands.length; b++)
      planes[b]![at] = planes[b]![at]! + weight * (usual[b]! + green * change[b]!)
  }
  return planes
}

const SPILL = 0.12 // blur: share that goes to each neighbour

function blur(plane: Float32Array, size: number): Float32Array {
  const along = (from: Float32Array, step: number, place: (at: number) => number) =>
    from.map((value, at) => {
      const before = place(at) > 0 ? from[at - step]! : value
      const after = place(at) < size - 1 ? from[at + step]! : value
      return (1 - 2 * SPILL) * value + SPILL * (before + after)
    })
  const across = along(plane, 1, (at) => at % size)
  return along(across, size, (at) => Math.floor(at / size))
}

/** Water is level, whatever the slope of the ground. */
function flattenWater(light: Float32Array, { size, surface, surfaces }: Landscape): void {
  const water = coverNames.indexOf('water')
  for (let point = 0; point < surface.length; point++)
    if (surfaces[surface[point]!]!.label === water)
      light[(Math.floor(point / (2 * size)) >> 1) * size + ((point % (2 * size)) >> 1)] = 1
}

/** Means of blocks of `by`² pixels. */
function coarsen(plane: Float32Array, { size, by }: { size: number; by: number }): Float32Array {
  if (by === 1) return plane
  const side = size / by
  const out = new Float32Array(side * side)
  for (let at = 0; at < plane.length; at++) {
    const to = Math.floor(at / size / by) * side + Math.floor((at % size) / by)
    out[to] = out[to]! + plane[at]! / (by * by)
  }
  return out
}

export function observe(land: Landscape, { place, visit }: { place: Place; visit: Visit }): Observation {
  const { size } = land
  const { day, clouds: share, missing } = visit
  const draws = placeDraws(place, 2 + visit.number)
  const wetness = draws.uniform() ** 2
  const air = drawAir(draws)
  const sees = drawSwath(draws, { size, missing })
  const sun = sunOn(day)
  const clouds = share > 0 ? drawClouds(draws, { size, share, sun }) : null
  const light = lightOn(land.height, { size, sun })
  flattenWater(light, land)

  const opacity = new Float32Array(size * size)
  const hidden = new Uint8Array(size * size)
  for (let at = 0; at < hidden.length; at++) {
    const [x, y] = [(at % size) + 0.5, Math.floor(at / size) + 0.5]
    if (clouds) {
      opacity[at] = clouds.opacity(x, y)
      light[at] = light[at]! * clouds.shadow(x, y)
    }
    // A band has no data if the centre of its own pixel (10 or 20 m) is beyond the edge.
    const isSeen = sees(x, y) && sees(2 * Math.floor(x / 2) + 1, 2 * Math.floor(y / 2) + 1)
    hidden[at] = opacity[at]! > 0.5 || !isSeen ? 1 : 0
  }

  const planes = mixPoints(land, { day, wetness })
  const values = bands.map(({ metres }, b) => {
    const seen = blur(planes[b]!, size).map((value, at) => {
      const ground = shaded(value, light[at]!, b)
      return ground + opacity[at]! * ((clouds?.spectrum[b] ?? 0) - ground)
    })
    const by = metres / 10
    const side = size / by
    return Uint16Array.from(coarsen(seen, { size, by }), (reflectance, at) => {
      const noise = draws.normal() * (0.001 + 0.012 * reflectance)
      if (!sees(((at % side) + 0.5) * by, (Math.floor(at / side) + 0.5) * by)) return NO_DATA
      const measured = air.gain[b]! * (reflectance + noise) + air.haze[b]!
      return Math.max(NO_DATA + 1, Math.min(65_535, Math.round(SCALE * measured)))
    })
  })
  return { bands: values, hidden }
}
