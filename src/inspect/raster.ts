/** A raster file as training sees it: bands, place on the ground, where it has data, and values. */
import { basename } from 'node:path'
import type { Box } from '../source/box.ts'
import { blockCache } from '../source/raster/block-cache.ts'
import { extentOf, type Grid } from '../source/raster/georeference.ts'
import type { BandPlace, Layer, RasterContent, RasterFile } from '../source/raster/raster-file.ts'
import { openRasterFile } from '../source/raster/raster-formats.ts'
import { pathReader } from '../source/raster/raster-path.ts'
import type { Values } from '../source/raster/sample-type.ts'
import {
  countOf,
  type Description,
  describe,
  figure,
  listed,
  type Row,
  reasonFrom,
  rowsOf,
  sized,
} from './inspected.ts'

const WHOLE = 1 << 22 // values that are read in full
const WINDOW = 256
const WINDOWS = 16
const MOST_BANDS = 32
const CACHE = 64e6 // bytes of decoded blocks

export interface BandValues {
  readonly band: string
  /** Null where no pixel has data. */
  readonly low: number | null
  readonly high: number | null
  readonly mean: number | null
}

export interface ExaminedRaster {
  readonly content: RasterContent
  readonly bands: readonly Layer[]
  readonly values: readonly BandValues[]
  /** Of the pixels that were read, those with data in all bands. */
  readonly validShare: number
  /** Whether all pixels were read. */
  readonly isWhole: boolean
  /** Milliseconds since 1970. */
  readonly dates: readonly number[]
}

/** Windows that are spread over an image, or the whole of it. */
function windowsOf(width: number, height: number, bands: number): Box[] {
  if (width * height * bands <= WHOLE) return [{ left: 0, top: 0, width, height }]
  const across = Math.min(Math.ceil(Math.sqrt(WINDOWS)), Math.ceil(width / WINDOW))
  const down = Math.min(Math.ceil(WINDOWS / across), Math.ceil(height / WINDOW))
  const place = (i: number, of: number, side: number) =>
    of === 1 ? Math.max(0, (side - WINDOW) >> 1) : Math.floor((i * (side - WINDOW)) / (of - 1))
  return Array.from({ length: across * down }, (_, i) => ({
    left: Math.max(0, place(i % across, across, width)),
    top: Math.max(0, place(Math.floor(i / across), down, height)),
    ...{ width: Math.min(WINDOW, width), height: Math.min(WINDOW, height) },
  }))
}

const nameOf = ({ name, band, member }: Layer): string =>
  name ?? (member === undefined || band > 0 ? `band ${band + 1}` : member)

async function measure(file: RasterFile, content: RasterContent, bands: readonly Layer[]) {
  const { width, height } = bands[0]!
  const same = bands.filter((each) => each.width === width && each.height === height).slice(0, MOST_BANDS)
  const places = same.map(
    ({ band, member }): BandPlace => ({
      ...{ file: '', band, ...(member !== undefined && { member }) },
      ...(content.items !== null && { item: 0 }),
      ...(bands[0]!.frames !== null && { frame: 0 }),
    }),
  )
  const sums = same.map(() => ({
    low: Number.POSITIVE_INFINITY,
    high: Number.NEGATIVE_INFINITY,
    sum: 0,
    count: 0,
  }))
  const windows = windowsOf(width, height, same.length)
  let [valid, all] = [0, 0]
  for (const window of windows) {
    const read = await file.read(places, window, { nodata: null })
    const pixels = window.width * window.height
    for (let at = 0; at < pixels; at++) {
      let isValid = true
      for (const [i, values] of read.entries()) {
        const value = values[at]!
        if (Number.isNaN(value)) {
          isValid = false
          continue
        }
        const own = sums[i]!
        if (value < own.low) own.low = value
        if (value > own.high) own.high = value
        own.sum += value
        own.count++
      }
      if (isValid) valid++
    }
    all += pixels
  }
  return {
    values: same.map((layer, i): BandValues => {
      const { low, high, sum, count } = sums[i]!
      const band = nameOf(layer)
      return count === 0
        ? { band, low: null, high: null, mean: null }
        : { band, low, high, mean: sum / count }
    }),
    validShare: valid / all,
    isWhole:
      windows.length === 1 &&
      content.items === null &&
      bands[0]!.frames === null &&
      same.length === bands.length,
  }
}

/** Throws with the reason why training would leave it out. */
async function examineRaster(path: string): Promise<ExaminedRaster> {
  const blocks = blockCache<Values | null>(CACHE, (values) => values?.byteLength ?? 0)
  const file = await openRasterFile({ path, blocks })
  try {
    const content = await file.describe(1)
    const bands = content.layers.filter(({ isAlpha }) => !isAlpha)
    const inName = pathReader(null, [])(basename(path))?.time ?? null
    const frames = bands[0]?.frames ?? 1
    const stored = Array.from({ length: Math.min(frames, 64) }, (_, frame) => content.timeOf(0, frame))
    const dates = stored.filter((time) => time !== null)
    return {
      ...{ content, bands, ...(await measure(file, content, bands)) },
      dates: dates.length > 0 || inName === null ? dates : [inName],
    }
  } finally {
    await file.close()
  }
}

export const dayOf = (time: number): string =>
  new Date(time)
    .toISOString()
    .replace(/T00:00:00\.000Z$/, '')
    .replace(/\.000Z$/, 'Z')

const percent = (share: number) => `${Number((100 * share).toFixed(share > 0.999 && share < 1 ? 3 : 1))} %`

const joined = (...parts: readonly (string | false | null)[]) => parts.filter(Boolean).join(', ')

function rowsOfRaster({ content, bands, values, validShare, isWhole, dates }: ExaminedRaster): Row[] {
  const { grid, storage, items } = content
  const { frames } = bands[0]!
  const sizes = [...new Set(bands.map(({ width, height }) => sized(width, height)))]
  const scales = bands
    .filter(({ scale = 1, offset = 0 }) => scale !== 1 || offset !== 0)
    .map((each) => `${nameOf(each)} ${each.scale ?? 1} and ${each.offset ?? 0}`)
  const names = bands.some(({ name }) => name !== null)
    ? `: ${listed(bands.map(nameOf), 16)}`
    : ' without names: data.bandNames gives them'
  const without = storage?.nodata ?? null
  const says = [without === null ? null : `the value ${without}`, storage?.mask ?? null].filter(
    (each) => each !== null,
  )
  const marks = says.length > 0 ? `${says.join(' and ')}: ` : 'nothing says where: '
  const place =
    grid &&
    joined(
      ...[
        grid.crs ?? 'unknown system',
        grid.metresPerPixel !== null && `${figure(grid.metresPerPixel)} m a pixel`,
      ],
      extent(grid),
    )
  const stored =
    storage &&
    joined(
      storage.type,
      storage.block !== null && `in ${storage.isTiled ? 'tiles' : 'strips'} of ${sized(...storage.block)}`,
      storage.overviews > 0 && countOf(storage.overviews, 'overview'),
    )
  return rowsOf(
    ['size', `${sizes.join(', ')} pixels`],
    ['bands', `${countOf(bands.length, 'band')}${names}`],
    items !== null && ['samples', countOf(items, 'sample')],
    frames !== null && ['frames', countOf(frames, 'frame')],
    dates.length > 0 && ['dates', listed(dates.map(dayOf), 6)],
    stored !== null && ['stored', stored],
    place !== null && ['place', place],
    scales.length > 0 && ['scale, offset', `${listed(scales, 4)} (applied with data.applyScale=true)`],
    ['no data', `${marks}${percent(1 - validShare)} of the pixels${isWhole ? '' : ' that were looked at'}`],
    ...values
      .slice(0, 16)
      .map(
        ({ band, low, high, mean }, i): Row => [
          i === 0 ? 'values' : '',
          low === null
            ? `${band}: none`
            : `${band}: ${figure(low)} to ${figure(high!)}, mean ${figure(mean!)}`,
        ],
      ),
  )
}

function extent(grid: Grid): string {
  const { left, right, bottom, top } = extentOf(grid)
  const number = (value: number) => Number(value.toPrecision(10))
  return `x ${number(left)} to ${number(right)}, y ${number(bottom)} to ${number(top)}`
}

function factsOfRaster({ content, bands, values, validShare, isWhole, dates }: ExaminedRaster) {
  const { grid, storage, items } = content
  const { width, height, frames } = bands[0]!
  return {
    ...{ width, height, samples: items, frames },
    bands: bands.map((layer) => {
      const { band: _, ...own } = values.find(({ band }) => band === nameOf(layer)) ?? { band: '' }
      return { name: layer.name, scale: layer.scale ?? 1, offset: layer.offset ?? 0, ...own }
    }),
    dates: dates.map((time) => new Date(time).toISOString()),
    ...{
      crs: grid?.crs ?? null,
      metresPerPixel: grid?.metresPerPixel ?? null,
      corners: grid?.corners ?? null,
    },
    ...{ type: storage?.type ?? null, mask: storage?.mask ?? null, block: storage?.block ?? null },
    nodata: Number.isNaN(storage?.nodata) ? 'nan' : (storage?.nodata ?? null),
    ...{ tiled: storage?.isTiled ?? false, overviews: storage?.overviews ?? 0 },
    ...{ validShare, measuredWhole: isWhole },
  }
}

export async function describeRaster(path: string): Promise<Description> {
  try {
    const raster = await examineRaster(path)
    const { advice } = raster.content
    return describe('raster', {
      ...{ rows: rowsOfRaster(raster), facts: factsOfRaster(raster) },
      notes: advice ? [`${advice[0]!.toUpperCase()}${advice.slice(1)}.`] : [],
    })
  } catch (error) {
    return describe('raster', { reason: reasonFrom(error) })
  }
}
