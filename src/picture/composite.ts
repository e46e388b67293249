/**
 * Composites: images of many bands as colours, grey or a vegetation index (NDVI; Rouse et al. 1974), for display. Takes values in
 * physical units, not normalised ones.
 */

import { SherdError } from '../errors.ts'
import { quantile } from '../prepare/quantile.ts'
import { canonicalBand } from '../source/raster/band-names.ts'
import type { Tile } from './tile.ts'
import type { Colour } from './tile-grid-layout.ts'

/** Numbers are channel indices. */
export type Composite =
  | { readonly kind: 'rgb'; readonly name: string; readonly bands: readonly [number, number, number] }
  | { readonly kind: 'grey'; readonly name: string; readonly band: number }
  | { readonly kind: 'ndvi'; readonly name: string; readonly red: number; readonly nearInfrared: number }

export interface BandImage {
  /** [C, H, W] in physical units. */
  readonly values: Float32Array
  /** [H, W], 0 for no data; null: data wherever values are finite. */
  readonly valid: Uint8Array | null
  readonly height: number
  readonly width: number
}

/** For each band, the values drawn black and at full brightness. */
export interface Stretch {
  readonly low: readonly number[]
  readonly high: readonly number[]
}

/** Named composites, by Sentinel-2's names of bands. */
const known = {
  true: { kind: 'rgb', name: 'true colour', bands: ['B4', 'B3', 'B2'] },
  infrared: { kind: 'rgb', name: 'infrared', bands: ['B8', 'B4', 'B3'] },
  ndvi: { kind: 'ndvi', name: 'NDVI', bands: ['B4', 'B8'] },
} as const

/**
 * Parses composites: `true`, `infrared`, `ndvi`, the name of a band, or three names joined by `-`. By default true colour and NDVI
 * if their bands exist, else the first three bands, else the first. Throws `VALUE` if a band is missing.
 */
export function compositesOf(asked: readonly string[], bands: readonly string[]): Composite[] {
  if (bands.length === 0) throw new SherdError('VALUE', 'Composites: expected at least one band, got none')
  if (asked.length === 0) return usual(bands)
  return asked.map((text) => {
    const place = (name: string): number => {
      const found = bands.findIndex((band) => canonicalBand(band) === canonicalBand(name))
      if (found < 0)
        throw new SherdError(
          'VALUE',
          `Composite "${text}": there is no band ${name} among ${bands.join(', ')}. Expected ${Object.keys(known).join(', ')}, a band, or three bands such as B11-B8-B4.`,
        )
      return found
    }
    const isBand = bands.some((band) => canonicalBand(band) === canonicalBand(text))
    const word = text.toLowerCase()
    const named = !isBand && Object.hasOwn(known, word) ? known[word as keyof typeof known] : undefined
    if (named?.kind === 'ndvi')
      return { kind: 'ndvi', name: named.name, red: place('B4'), nearInfrared: place('B8') }
    const names = named?.bands ?? (isBand ? [text] : text.split('-'))
    const [red, green, blue] = names.map(place)
    if (names.length === 3)
      return { kind: 'rgb', name: named?.name ?? names.join(' '), bands: [red!, green!, blue!] }
    if (names.length === 1) return { kind: 'grey', name: text, band: red! }
    throw new SherdError('VALUE', `Composite "${text}": expected one band or three, got ${names.length}`)
  })
}

function usual(bands: readonly string[]): Composite[] {
  const has = new Set(bands.map(canonicalBand))
  const allowed = (['true', 'ndvi'] as const).filter((name) =>
    known[name].bands.every((band) => has.has(canonicalBand(band))),
  )
  if (allowed.length > 0) return compositesOf(allowed, bands)
  if (bands.length < 3) return [{ kind: 'grey', name: bands[0]!, band: 0 }]
  return [{ kind: 'rgb', name: bands.slice(0, 3).join(' '), bands: [0, 1, 2] }]
}

const LOW = 0.02
const HIGH = 0.98

/** The 2nd and 98th percentile of each band over all pixels with data. Throws `SHAPE` for images of different bands. */
export function stretchOf(images: readonly BandImage[]): Stretch {
  const counts = images.map(({ values, height, width }) => values.length / (height * width))
  if (counts.some((count) => count !== counts[0] || !Number.isInteger(count)))
    throw new SherdError(
      'SHAPE',
      `stretchOf: expected images of the same bands, got ${counts.join(', ')} bands`,
    )
  const low: number[] = []
  const high: number[] = []
  for (let band = 0; band < (counts[0] ?? 0); band++) {
    const parts = images.map((image) => valuesOf(image, band))
    const values = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0))
    let at = 0
    for (const part of parts) {
      values.set(part, at)
      at += part.length
    }
    values.sort()
    low.push(values.length === 0 ? 0 : quantile(values, LOW))
    high.push(values.length === 0 ? 1 : quantile(values, HIGH))
  }
  return { low, high }
}

function valuesOf({ values, valid, height, width }: BandImage, band: number): Float32Array {
  const plane = values.subarray(band * height * width, (band + 1) * height * width)
  return plane.filter((value, i) => valid?.[i] !== 0 && Number.isFinite(value))
}

/** Brightens dark tones. */
const GAMMA = 1 / 1.3
const NDVI_LOW = -0.2
const NDVI_HIGH = 0.9

/** The diverging scale RdYlGn of ColorBrewer (Harrower & Brewer 2003), from bare to green. */
const ramp: readonly Colour[] = [
  [165, 0, 38],
  [215, 48, 39],
  [244, 109, 67],
  [253, 174, 97],
  [254, 224, 139],
  [255, 255, 191],
  [217, 239, 139],
  [166, 217, 106],
  [102, 189, 99],
  [26, 152, 80],
  [0, 104, 55],
]

/** Clamped to [−0.2, 0.9]. */
export function ndviColour(ndvi: number): Colour {
  const share = Math.min(1, Math.max(0, (ndvi - NDVI_LOW) / (NDVI_HIGH - NDVI_LOW)))
  const at = share * (ramp.length - 1)
  const from = Math.min(ramp.length - 2, Math.floor(at))
  const [a, b] = [ramp[from]!, ramp[from + 1]!]
  const mix = (c: 0 | 1 | 2) => Math.round(a[c] + (at - from) * (b[c] - a[c]))
  return [mix(0), mix(1), mix(2)]
}

/** Hatched light grey for no data. */
const noData = (x: number, y: number): number => ((x + y) % 4 === 0 ? 196 : 226)

/** An image as a tile. Pixels without data or with non-finite values are hatched. */
export function compositeTile(composite: Composite, image: BandImage, { low, high }: Stretch): Tile {
  const { values, valid, height, width } = image
  const area = height * width
  const channels = composite.kind === 'grey' ? 1 : 3
  const shown =
    composite.kind === 'rgb'
      ? composite.bands
      : composite.kind === 'grey'
        ? [composite.band]
        : [composite.red, composite.nearInfrared]
  for (const band of shown)
    if (!Number.isInteger(band) || band < 0 || (band + 1) * area > values.length)
      throw new SherdError(
        'SHAPE',
        `compositeTile: band ${band} is not among the ${values.length / area} bands of the image`,
      )
  const stretched = (band: number, value: number): number => {
    const range = high[band]! - low[band]!
    return range > 0 ? Math.min(1, Math.max(0, (value - low[band]!) / range)) : 0.5
  }
  const colourOf = (seen: readonly number[]): readonly number[] | null => {
    switch (composite.kind) {
      case 'rgb':
        return seen.map((value, c) => Math.round(255 * stretched(shown[c]!, value) ** GAMMA))
      case 'grey':
        return [Math.round(255 * stretched(composite.band, seen[0]!))]
      case 'ndvi': {
        const ndvi = (seen[1]! - seen[0]!) / (seen[1]! + seen[0]!)
        return Number.isFinite(ndvi) ? ndviColour(ndvi) : null
      }
      default:
        return composite satisfies never
    }
  }
  const pixels = new Uint8Array(area * channels)
  for (let i = 0; i < area; i++) {
    const seen = shown.map((band) => values[band * area + i]!)
    const hasData = valid?.[i] !== 0 && seen.every(Number.isFinite)
    const colour = hasData ? colourOf(seen) : null
    if (colour) pixels.set(colour, i * channels)
    else pixels.fill(noData(i % width, Math.floor(i / width)), i * channels, (i + 1) * channels)
  }
  return { width, height, channels, pixels }
}

/**
 * The requested composites; by default the usual ones, and one for each group of bands that these do not show: the first three bands
 * as colours, or the first in grey.
 */
export function groupComposites(
  asked: readonly string[],
  bands: readonly string[],
  groups: readonly (readonly string[])[] | null,
): Composite[] {
  const chosen = compositesOf(asked, bands)
  if (asked.length > 0 || !groups) return chosen
  const placesOf = (group: readonly string[]) =>
    group.map((name) => bands.findIndex((band) => canonicalBand(band) === canonicalBand(name)))
  const shownBands = (composite: Composite): readonly number[] =>
    composite.kind === 'rgb' ? composite.bands : composite.kind === 'grey' ? [composite.band] : []
  const isShown = (places: readonly number[]) =>
    chosen.some((each) => {
      const shown = shownBands(each)
      return shown.length > 0 && shown.every((band) => places.includes(band))
    })
  const own = (places: readonly number[]): Composite => {
    const [first, second, third] = places
    return second !== undefined && third !== undefined
      ? {
          kind: 'rgb',
          name: [third, second, first!].map((b) => bands[b]).join(' '),
          bands: [third, second, first!],
        }
      : { kind: 'grey', name: bands[first!]!, band: first! }
  }
  return [
    ...chosen,
    ...groups
      .map(placesOf)
      .filter((places) => !isShown(places))
      .map(own),
  ]
}
