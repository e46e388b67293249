/**
 * Writes the satellite sample set: places of eight land-cover classes, each on several dates, as GeoTIFF with ten bands; in
 * folders by class, or as images with masks.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SherdError } from '../../errors.ts'
import { sharp } from '../../files/sharp.ts'
import { encodeGeoTiff } from '../geotiff-writer.ts'
import { checkSetNumbers, writeMarkedSet } from '../marked-set.ts'
import type { SampleData } from '../write-scenes.ts'
import { drawVisits, MOST_DATES, type Visit } from './calendar.ts'
import { type CoverName, coverNames } from './covers.ts'
import { coverMap, drawLandscape, type Landscape, type Place } from './landscape.ts'
import { NO_DATA, type Observation, observe } from './observe.ts'
import { bands } from './sentinel-bands.ts'

/** Raised whenever any pixel of any image would differ. */
const FORMAT = 'sherd-satellite-sample-data/1'
/** UTM, zone 32 north, on WGS 84. */
const EPSG = 32632
/** Mask value of hidden ground. */
export const UNSEEN = 255

export interface SatelliteDataOptions {
  /** A new or empty folder, or one that already holds this set. */
  readonly dir: string
  /** Places in all, at least 8, spread evenly over the eight classes. */
  readonly count: number
  /** Pixels of 10 m per side, even, 16 to 1024. */
  readonly size: number
  /** Dates of each place, 1 to 60. */
  readonly dates: number
  /** A file of all bands for each date, with 20 m bands repeated to 10 m; or a file for each band at its own resolution. */
  readonly layout: 'stack' | 'bands'
  /** Images and masks instead of folders by class; for the layout `stack`. */
  readonly masks: boolean
  readonly seed: number
  /** Called after every place. */
  readonly onProgress?: (done: number, count: number) => void
  readonly signal?: AbortSignal
}

function check(options: SatelliteDataOptions): void {
  const { size, dates, layout, masks } = options
  checkSetNumbers(options, coverNames.length)
  if (size % 2 !== 0)
    throw new SherdError(
      'VALUE',
      `Satellite sample data: expected an even size, for bands of half the resolution, got ${size}`,
    )
  if (!Number.isSafeInteger(dates) || dates < 1 || dates > MOST_DATES)
    throw new SherdError(
      'VALUE',
      `Satellite sample data: expected dates, an integer from 1 to ${MOST_DATES}, got ${dates}`,
    )
  if (masks && layout !== 'stack')
    throw new SherdError(
      'VALUE',
      `Satellite sample data: masks belong to images of all bands, expected the layout "stack" with them, got "${layout}"`,
    )
}

/** Nearest-neighbour enlargement by a factor. */
function repeat(values: Uint16Array, { side, by }: { side: number; by: number }): Uint16Array {
  if (by === 1) return values
  const wide = side * by
  return Uint16Array.from(
    { length: wide * wide },
    (_, at) => values[Math.floor(at / wide / by) * side + Math.floor((at % wide) / by)]!,
  )
}

/** The files of one date, by suffix of their names. */
function filesOf(
  { bands: values }: Observation,
  { land: { size, corner }, layout }: { land: Landscape; layout: SatelliteDataOptions['layout'] },
): [string, Buffer][] {
  if (layout === 'stack') {
    const stacked = bands.map(({ name, metres }, b) => {
      const by = metres / 10
      return { name, values: repeat(values[b]!, { side: size / by, by }) }
    })
    const file = encodeGeoTiff({
      width: size,
      height: size,
      bands: stacked,
      ground: { epsg: EPSG, corner, pixel: 10 },
      nodata: NO_DATA,
    })
    return [['.tif', file]]
  }
  return bands.map(({ code, metres }, b) => {
    const side = size / (metres / 10)
    const file = encodeGeoTiff({
      width: side,
      height: side,
      bands: [{ name: null, values: values[b]! }],
      ground: { epsg: EPSG, corner, pixel: metres },
      nodata: NO_DATA,
    })
    return [`_${code}_${metres}m.tif`, file]
  })
}

async function writeMask(
  path: string,
  { land, hidden }: { land: Landscape; hidden: Uint8Array },
): Promise<void> {
  const labels = coverMap(land).map((label, at) => (hidden[at] ? UNSEEN : label))
  const file = await sharp(labels, { raw: { width: land.size, height: land.size, channels: 1 } })
    .toColourspace('b-w')
    .png()
    .toBuffer()
  await writeFile(path, file)
}

/**
 * Writes `dir/<class>/<place>_<YYYYMMDD>.tif` or `…_B02_10m.tif`; with `masks` `dir/images/<class>-<place>_<YYYYMMDD>.tif`,
 * `dir/masks/` and `dir/classes.txt`. Does nothing if `dir` already holds exactly this set.
 */
export async function writeSatelliteData(options: SatelliteDataOptions): Promise<SampleData> {
  check(options)
  const { dir, count, size, dates, layout, masks, seed, onProgress, signal } = options
  const classes: CoverName[] = [...coverNames]

  const writeVisit = async (land: Landscape, place: Place, visit: Visit) => {
    const seen = observe(land, { place, visit })
    const name = `${String(place.index).padStart(5, '0')}_${visit.date}`
    const beginning = masks ? join('images', `${place.dominant}-${name}`) : join(place.dominant, name)
    for (const [ending, file] of filesOf(seen, { land, layout }))
      await writeFile(join(dir, `${beginning}${ending}`), file)
    if (masks)
      await writeMask(join(dir, 'masks', `${place.dominant}-${name}.png`), { land, hidden: seen.hidden })
  }
  await writeMarkedSet({
    dir,
    about: { format: FORMAT, count, size, dates, layout, masks, seed, classes },
    folders: masks ? ['images', 'masks'] : classes,
    count,
    onProgress,
    signal,
    write: async (number) => {
      const dominant = classes[number % classes.length]!
      const place: Place = { dominant, seed, index: Math.floor(number / classes.length), size }
      const land = drawLandscape(place)
      for (const visit of drawVisits(place, dates)) await writeVisit(land, place, visit)
      if (masks && number === 0) await writeFile(join(dir, 'classes.txt'), `${classes.join('\n')}\n`)
    },
  })
  return { dir, count, classes }
}
