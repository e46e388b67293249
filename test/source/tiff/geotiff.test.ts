// Files that GDAL made (scripts/reference/make_geotiff.py), whose values follow from their place.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../../src/package-root.ts'
import type { Box } from '../../../src/source/box.ts'
import { blockCache } from '../../../src/source/raster/block-cache.ts'
import type { RasterFile } from '../../../src/source/raster/raster-file.ts'
import type { Values } from '../../../src/source/raster/sample-type.ts'
import { openGeotiff } from '../../../src/source/tiff/geotiff.ts'
import { temporaryFolder } from '../../prepare/decode/make-images.ts'
import { tiff } from '../raster/make-rasters.ts'

const fixtures = join(packageRoot(), 'test/fixtures/rasters')
const WIDTH = 37
const HEIGHT = 29
const whole: Box = { left: 0, top: 0, width: WIDTH, height: HEIGHT }

const open = (name: string): Promise<RasterFile> =>
  openGeotiff({
    path: name.startsWith('/') ? name : join(fixtures, name),
    blocks: blockCache<Values | null>(1e6, (values) => values?.byteLength ?? 0),
  })

async function read(name: string, bands: readonly number[], region = whole, nodata: number | null = null) {
  const file = await open(name)
  try {
    const places = bands.map((band) => ({ file: name, band }))
    return (await file.read(places, region, { nodata })).map((values) => [...values])
  } finally {
    await file.close()
  }
}

const describeFile = async (name: string) => {
  const file = await open(name)
  try {
    return await file.describe(1)
  } finally {
    await file.close()
  }
}

/** What make_geotiff.py writes. */
const expected = (name: string, band: number, { left, top, width, height }: Box): number[] => {
  const shift = /float/.test(name) ? -99.75 : /-int/.test(name) ? -100 : 0
  return Array.from(
    { length: width * height },
    (_, i) => 40 * band + 3 * (top + Math.floor(i / width)) + 2 * (left + (i % width)) + shift,
  )
}

describe('a GeoTIFF file', () => {
  it.each<[string, number]>([
    ['none-strips-uint8.tif', 2],
    ['lzw-strips-uint16.tif', 2],
    ['lzw-predictor2-tiles-uint8.tif', 3],
    ['deflate-tiles-int16.tif', 3],
    ['deflate-predictor2-planes-uint16.tif', 3],
    ['deflate-predictor2-tiles-int32.tif', 2],
    ['deflate-predictor3-tiles-float32.tif', 2],
    ['deflate-predictor3-strips-float64.tif', 1],
    ['zstd-tiles-uint16.tif', 3],
    ['zstd-predictor3-planes-float32.tif', 2],
    ['packbits-strips-uint8.tif', 1],
    ['big-endian-predictor2-uint16.tif', 3],
    ['big-endian-lzw-float32.tif', 1],
    ['bigtiff-uint16.tif', 2],
    ['half-float.tif', 1],
    ['unnamed-uint16.tif', 3],
  ])('%s gives its values, whole and in windows', async (name, bands) => {
    const all = Array.from({ length: bands }, (_, band) => band)
    expect(await read(name, all)).toEqual(all.map((band) => expected(name, band, whole)))
    for (const region of [
      { left: 0, top: 0, width: 1, height: 1 },
      { left: 13, top: 11, width: 20, height: 9 },
      { left: 16, top: 16, width: 16, height: 13 },
      { left: 36, top: 28, width: 1, height: 1 },
    ])
      expect(await read(name, [bands - 1], region)).toEqual([expected(name, bands - 1, region)])
  })

  it('of two resolutions gives the full one', async () => {
    const region = { left: 100, top: 120, width: 40, height: 25 }
    expect(await read('cog-overviews-uint16.tif', [0], region)).toEqual([expected('cog', 0, region)])
  })

  it('has no data where it says so, where it is not a number, and where blocks are left out', async () => {
    const hole = (value: number, x: number, y: number, lastBand: boolean, isFirst: boolean) =>
      (isFirst && y >= 3 && y < 9 && x >= 5 && x < 20) || (lastBand && x === 0 && y === 0)
        ? Number.NaN
        : value
    const holed = (name: string, band: number, bands: number) =>
      expected(name, band, whole).map((value, i) =>
        hole(value, i % WIDTH, Math.floor(i / WIDTH), band === bands - 1, band === 0),
      )
    // 7 is no data, and a value of other pixels too.
    const seven = (values: number[]) => values.map((value) => (value === 7 ? Number.NaN : value))
    const name = 'nodata-uint16.tif'
    expect(await read(name, [0, 1, 2])).toEqual([0, 1, 2].map((band) => seven(holed(name, band, 3))))
    // What is given goes before what the file says.
    const given = (await read(name, [0], whole, 50))[0]!
    expect(given.filter(Number.isNaN)).toHaveLength(
      expected(name, 0, whole).filter((value, i) => value === 50 && !Number.isNaN(holed(name, 0, 3)[i]!))
        .length,
    )
    expect(given[3 * WIDTH + 5]).toBe(7)
    const other = 'nan-float32.tif'
    expect(await read(other, [0, 1])).toEqual([0, 1].map((band) => holed(other, band, 2)))
    const sparse = (await read('sparse-uint16.tif', [0]))[0]!
    const shown = expected('', 0, whole).map((value, i) =>
      i >= 16 * WIDTH || value === 0 ? Number.NaN : value,
    )
    expect(sparse).toEqual(shown)
  })

  it('says how its bands are called', async () => {
    const names = async (name: string) =>
      (await describeFile(name)).layers.map(({ name, isNamed }) => [name, isNamed])
    expect(await names('zstd-tiles-uint16.tif')).toEqual([
      ['B2', true],
      ['B3', true],
      ['B8A', true],
    ])
    expect(await names('unnamed-uint16.tif')).toEqual([
      [null, false],
      [null, false],
      [null, false],
    ])
    expect(await names('rgb-uint8.tif')).toEqual([
      ['red', false],
      ['green', false],
      ['blue', false],
    ])
  })

  it('says where it lies and how large its pixels are', async () => {
    const grid = async (name: string) => (await describeFile(name)).grid!
    const [right, bottom] = [600_000 + 10 * WIDTH, 5_300_040 - 10 * HEIGHT]
    expect(await grid('zstd-tiles-uint16.tif')).toEqual({
      ...{ crs: 'EPSG:32632', metresPerPixel: 10 },
      corners: [600_000, 5_300_040, right, 5_300_040, 600_000, bottom],
    })
    const degrees = await grid('degrees-uint16.tif')
    expect(degrees.crs).toBe('EPSG:4326')
    // 0.0001° is 11.12 m from south to north, and 7.44 m from west to east at 48° north: the mean of both.
    expect(degrees.metresPerPixel).toBeCloseTo(
      Math.sqrt(11.1319 * 11.1319 * Math.cos((48 * Math.PI) / 180)),
      2,
    )
    const mercator = await grid('mercator-uint16.tif')
    // y = 6,106,855 m is 48° north, where a metre of the map is cos 48° metres.
    expect(mercator).toMatchObject({
      crs: 'EPSG:3857',
      metresPerPixel: expect.closeTo(10 * Math.cos((48 * Math.PI) / 180), 2),
    })
  })
})

describe('a TIFF file that cannot be read', () => {
  const bare = { width: 6, height: 4 }
  const short = (values: readonly number[]) => ({ type: 3 as const, values })
  const long = (values: readonly number[]) => ({ type: 4 as const, values })
  it.each<[string, Buffer, RegExp]>([
    ['nothing', Buffer.alloc(0), /the file is empty/],
    ['three bytes', Buffer.from('II*'), /expected a TIFF file, but it starts with "II\*"/],
    ['another format', Buffer.from('\x89PNG\r\n'), /expected a TIFF file, but it starts with/],
    ['a file that is cut in its header', tiff(bare).subarray(0, 70), /cut short or damaged/],
    [
      'a directory behind the end',
      Buffer.from('II*\0\xff\xff\xff\x7f', 'latin1'),
      /cut short or damaged: bytes/,
    ],
    [
      'a made-up size',
      tiff({ ...bare, tags: { 256: long([2 ** 31]), 257: long([2 ** 31]), 278: long([2 ** 31]) } }),
      /strips of 2147483648 x 2147483648 pixels are \d+ bytes, and at most/,
    ],
    [
      'a size that its blocks do not make',
      tiff({ ...bare, tags: { 257: long([4000]), 278: long([4]) } }),
      /names 1 blocks where 6 x 4000 pixels need 1000/,
    ],
    ['no pixels', tiff({ ...bare, tags: { 256: long([0]) } }), /damaged: 0 x 4 pixels of 1 bands/],
    ['too many bands', tiff({ ...bare, tags: { 277: short([60_000]) } }), /60000 bands/],
    [
      'a tag of endless length',
      tiff({ ...bare, tags: { 273: long(Array(3).fill(8)) } }).fill(0xff, 62, 66),
      /./,
    ],
    [
      'bits',
      tiff({ ...bare, tags: { 258: short([12]) } }),
      /its values are of 12 bits .*whole numbers of 1, 8, 16 and 32 bits.*gdal_translate -ot Int32/,
    ],
    ['complex numbers', tiff({ ...bare, tags: { 339: short([5]) } }), /formats 5: whole numbers/],
    [
      'JPEG',
      tiff({ ...bare, tags: { 259: short([7]) } }),
      /compression is JPEG: none, deflate, LZW.*gdal_translate/,
    ],
    [
      'a predictor for floats of whole numbers',
      tiff({ ...bare, tags: { 317: short([3]) } }),
      /predictor is 3 for unsigned numbers of 16 bits/,
    ],
  ])('is refused: %s', async (_, bytes, message) => {
    const path = join(await temporaryFolder(), 'a.tif')
    writeFileSync(path, bytes)
    await expect(open(path)).rejects.toMatchObject({
      code: 'SOURCE',
      message: expect.stringMatching(message),
    })
  })

  it('says which part of it is cut short, or unpacks to more than it should', async () => {
    const dir = await temporaryFolder()
    const path = join(dir, 'a.tif')
    const readPath = () => read(path, [0], { left: 0, top: 0, width: 6, height: 4 })
    writeFileSync(path, tiff({ ...bare, tags: { 279: long([47]) } }))
    await expect(readPath()).rejects.toThrow(
      /6 x 4 pixels need a block of 48 bytes, which 47 packed ones cannot become/,
    )
    writeFileSync(path, tiff({ ...bare, tags: { 273: long([1e6]) } }))
    await expect(readPath()).rejects.toThrow(/bytes 1000000 to 1000048 are wanted/)
    const bomb = deflateSync(Buffer.alloc(1e7))
    const whole = Buffer.concat([tiff(bare), bomb])
    writeFileSync(path, whole)
    const tags = { 259: short([8]), 273: long([tiff(bare).length]), 279: long([bomb.length]) }
    writeFileSync(path, Buffer.concat([tiff({ ...bare, tags }), bomb]))
    await expect(readPath()).rejects.toThrow(
      /a block of it cannot be unpacked \(.*Cannot create a Buffer larger than/,
    )
  })
})
