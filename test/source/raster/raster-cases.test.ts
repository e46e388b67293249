// Files of the kinds that public bug reports are about; the expected values are GDAL's (../shared/cases/README.md).
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../../src/package-root.ts'
import { measureRasterStatistics } from '../../../src/prepare/raster/raster-statistics.ts'
import { openRasterFolder, type RasterOptions } from '../../../src/source/raster/raster-folder.ts'
import { temporaryFolder } from '../../prepare/decode/make-images.ts'
import { readSample } from '../../prepare/raster/read-raster.ts'
import { npy, npyTexts, npz, rasterFolder, rasterOptions, rawNpy, tiff, utm } from './make-rasters.ts'

const cases = join(packageRoot(), '../shared/cases/rasters')
const bands = ['B2', 'B3', 'B4']
const options: RasterOptions = { ...rasterOptions, bands }
const openCase = (name: string, more: Partial<RasterOptions> = {}) =>
  openRasterFolder(join(cases, name), { ...options, ...more })

const share = (values: readonly number[]) => values.filter(Number.isNaN).length / values.length
const mean = (values: readonly number[]) => {
  const valid = values.filter((value) => !Number.isNaN(value))
  return valid.reduce((sum, value) => sum + value, 0) / valid.length
}

describe('no data', () => {
  it.each(['nodata-f32-issue259', 'nodata-f32-min'])('of %s is a quarter of the pixels', async (name) => {
    const source = await openCase(name)
    const values = await readSample(source)
    expect(share(values)).toBe(0.25)
    const { mean: means, notes } = await measureRasterStatistics(source, { clip: 'none' })
    for (const each of means) expect(Math.abs(each)).toBeLessThan(1000)
    expect(notes).toEqual([])
  })

  it('that is given takes precedence over that of the file, and statistics that no data have are reported', async () => {
    const source = await openCase('nodata-f32-min', { nodata: 0 })
    expect(share(await readSample(source))).toBeLessThan(0.01)
    const { notes } = await measureRasterStatistics(source, { clip: 'none' })
    expect(notes).toEqual([
      expect.stringMatching(/^B2 has the mean -8\.5\de\+37 and .* which no measurement has.*data\.nodata/),
    ])
  })

  it('is what an internal mask leaves out', async () => {
    const values = await readSample(await openCase('internal-mask'))
    expect(share(values)).toBe(0.25)
    expect(mean(values.slice(0, 64 * 64))).toBeCloseTo(139.8, 1)
  })

  it('is where alpha is 0, and alpha is no band of its own', async () => {
    const colours = ['red', 'green', 'blue']
    const source = await openCase('alpha-band', { bands: colours })
    const values = await readSample(source)
    expect(share(values)).toBe(0.25)
    expect(mean(values.slice(0, 64 * 64))).toBe(69.5)
    for (const names of [bands, [...bands, 'alpha']]) {
      const named = await openCase('alpha-band', { bandNames: names })
      expect(await readSample(named)).toEqual(values)
    }
    await expect(openCase('alpha-band', { bandNames: ['B2', 'B3'] })).rejects.toThrow(
      /has 3 bands without names, but data\.bandNames has 2/,
    )
  })

  const pair = tiff({ width: 4, height: 2, bands: 2, type: 'u1', descriptions: ['B2', 'B3'] })
  const two = { ...options, bands: ['B2', 'B3'] }
  it('is what a mask beside the file leaves out, of all bands or of each', async () => {
    const one = tiff({ width: 4, height: 2, type: 'u1', value: (_, y, x) => (x === y ? 0 : 255) })
    const each = tiff({ width: 4, height: 2, bands: 2, type: 'u1', value: (b, _, x) => (x === b ? 0 : 1) })
    const masked = async (mask: Buffer) => {
      const dir = await rasterFolder({ 'a.tif': pair, 'a.tif.msk': mask })
      const source = await openRasterFolder(dir, two)
      expect(source.files).toEqual(['a.tif'])
      return (await readSample(source)).flatMap((value, i) => (Number.isNaN(value) ? [i % 8] : []))
    }
    expect(await masked(one)).toEqual([0, 5, 0, 5])
    // What has no data in one band has none in all.
    expect(await masked(each)).toEqual([0, 1, 4, 5, 0, 1, 4, 5])
  })

  it('cannot be taken from a mask of another size or a damaged one, which is reported', async () => {
    const small = tiff({ width: 2, height: 2, type: 'u1' })
    for (const [mask, why] of [
      [small, /its mask a\.tif\.msk cannot be read: it is 2 x 2 pixels, and the image 4 x 2/],
      [small.subarray(0, 60), /its mask a\.tif\.msk cannot be read: /],
    ] as const) {
      const dir = await rasterFolder({ 'a.tif': pair, 'a.tif.msk': mask, 'b.tif': pair })
      await expect(readSample(await openRasterFolder(dir, two))).rejects.toThrow(why)
    }
    const dir = await temporaryFolder()
    writeFileSync(join(dir, 'a.tif'), pair)
    mkdirSync(join(dir, 'a.tif.msk'))
    await expect(openRasterFolder(dir, two)).rejects.toThrow(
      /its mask a\.tif\.msk cannot be read: it is no regular file/,
    )
  })

  it('is not where an extra band is something else than alpha', async () => {
    const value = (b: number, y: number, x: number) => (b === 3 ? 0 : 40 * b + 4 * y + x)
    const tags = (kind: number) => ({
      262: { type: 3, values: [2] } as const,
      338: { type: 3, values: [kind] } as const,
    })
    const shares = []
    for (const kind of [0, 1, 2]) {
      const file = tiff({ width: 4, height: 2, bands: 4, type: 'u1', value, tags: tags(kind) })
      const source = await openRasterFolder(await rasterFolder({ 'a.tif': file }), {
        ...options,
        bands: ['red'],
      })
      shares.push(await readSample(source).then(share, (error: Error) => error.message))
    }
    expect(shares).toEqual([0, expect.stringMatching(/^no data/), expect.stringMatching(/^no data/)])
  })
})

describe('dates of one series', () => {
  it('of different places are refused, with what both cover', async () => {
    await expect(openCase('far', { frames: 2 })).rejects.toMatchObject({
      code: 'SOURCE',
      message: expect.stringMatching(
        /place1_20200101\.tif covers x 500000 to 500640, y 4999360 to 5000000 \(EPSG:32632\), place1_20210101\.tif x 600000 to 600640/,
      ),
    })
    expect((await openCase('far')).files).toHaveLength(2)
  })

  const date = (left: number, more: object = {}) =>
    tiff({ width: 4, height: 3, bands: 1, descriptions: ['B2'], grid: { ...utm, left }, ...more })
  const series = { ...options, bands: ['B2'], frames: 2 }
  it('that are shifted are reported, and others are not', async () => {
    const notesOf = async (shift: number) =>
      (
        await openRasterFolder(
          await rasterFolder({ 'a_20200101.tif': date(utm.left), 'a_20210101.tif': date(utm.left + shift) }),
          series,
        )
      ).notes
    expect(await notesOf(4)).toEqual([])
    expect(await notesOf(10)).toEqual([
      expect.stringMatching(
        /a_20200101\.tif covers x 600000 to 600040.*a_20210101\.tif x 600010 to 600050.*gdalwarp -te/,
      ),
    ])
    await expect(notesOf(30)).rejects.toThrow(/of different places/)
  })

  /** The same land from south to north: an affine transformation with y growing with the row. */
  const south = (more: object = {}) =>
    date(utm.left, {
      value: (_: number, y: number, x: number) => 10 * (2 - y) + x,
      tags: {
        33550: { type: 12, values: [10, -10, 0] },
        33922: { type: 12, values: [0, 0, 0, utm.left, utm.top - 30, 0] },
      },
      ...more,
    })
  const land = Array.from({ length: 12 }, (_, i) => 10 * Math.floor(i / 4) + (i % 4))
  it('are brought into one order of rows, that from north to south', async () => {
    for (const files of [
      { 'a_20200101.tif': date(utm.left), 'a_20210101.tif': south() },
      { 'a_20200101.tif': south(), 'a_20210101.tif': date(utm.left) },
    ]) {
      const source = await openRasterFolder(await rasterFolder(files), series)
      expect(source.notes).toEqual([])
      expect(await readSample(source)).toEqual([...land, ...land])
      const box = { left: 1, top: 1, width: 3, height: 2 }
      const part = [11, 12, 13, 21, 22, 23]
      expect(await readSample(source, { box })).toEqual([...part, ...part])
    }
    // Alone, a file's rows stay as they are: masks and pictures of it have that order, too.
    const alone = await openRasterFolder(await rasterFolder({ 'a.tif': south() }), { ...series, frames: 1 })
    expect(await readSample(alone)).toEqual([20, 21, 22, 23, 10, 11, 12, 13, 0, 1, 2, 3])
  })

  it('and bands of one scene, too, at any resolution', async () => {
    const files = {
      'a_B02.tif': tiff({ width: 4, height: 2, grid: utm }),
      'a_B03.tif': tiff({
        ...{ width: 2, height: 1, grid: utm, value: (_: number, __: number, x: number) => x },
        tags: {
          33550: { type: 12, values: [20, -20, 0] },
          33922: { type: 12, values: [0, 0, 0, utm.left, utm.top - 20, 0] },
        },
      }),
    }
    const source = await openRasterFolder(await rasterFolder(files), { ...options, bands: ['B2', 'B3'] })
    expect(await readSample(source)).toEqual([0, 1, 2, 3, 10, 11, 12, 13, 0, 0.25, 0.75, 1, 0, 0.25, 0.75, 1])
  })
})

describe('scale and offset', () => {
  it('that differ are reported, and are applied on request', async () => {
    const source = await openCase('scale-offset')
    expect(source.notes).toEqual([
      expect.stringMatching(
        /^The files differ in what their values mean: B2, B3, B4 have .*\(B2: new_20230101\.tif has scale 0\.0001 and offset -0\.1, old_20200101\.tif scale 0\.0001 and offset 0\).*data\.applyScale=true/,
      ),
    ])
    const raw = await Promise.all([0, 1].map((index) => readSample(source, { index })))
    expect(raw.map((values) => mean(values.slice(0, 4096)))).toEqual([
      expect.closeTo(2317.7, 1),
      expect.closeTo(1317.7, 1),
    ])
    const scaled = await openCase('scale-offset', { applyScale: true })
    expect(scaled.notes).toEqual([])
    for (const index of [0, 1])
      expect(mean((await readSample(scaled, { index })).slice(0, 4096))).toBeCloseTo(0.13177, 5)
  })
})

describe('arrays', () => {
  const three = { ...options, bandNames: bands }
  const moved =
    /its array is \((7, )?8, 6, 3\): if the last axis holds the bands, put it before height and width with np\.moveaxis\(array, -1, -3\)/i
  it.each<[string, Record<string, Uint8Array>, Partial<RasterOptions>]>([
    ['[H, W, C]', { 'a.npy': npy('u1', [8, 6, 3], () => 1) }, three],
    ['[H, W, C] without names', { 'a.npy': npy('u1', [8, 6, 3], () => 1) }, options],
    ['[N, H, W, C]', { 'a.npy': npy('u1', [7, 8, 6, 3], () => 1) }, three],
    ['[T, H, W, C]', { 'a.npy': npy('u1', [7, 8, 6, 3], () => 1) }, { ...three, frames: 7 }],
    [
      'an .npz that names its bands',
      { 'a.npz': npz({ images: npy('u1', [8, 6, 3], () => 1), bands: npyTexts(bands) }) },
      options,
    ],
  ])('of %s are refused with how to move the axis', async (_, files, more) => {
    await expect(openRasterFolder(await rasterFolder(files), { ...options, ...more })).rejects.toThrow(moved)
  })

  it('of square images get no such advice', async () => {
    const dir = await rasterFolder({ 'a.npy': npy('u1', [4, 8, 8], () => 1) })
    await expect(openRasterFolder(dir, three)).rejects.toThrow(/one for each band, in order\.$/)
  })

  it('hold at most a million images', async () => {
    const many = npz({ images: npy('u1', [1_000_001, 1, 1, 1], () => 0) })
    expect(many.length).toBeLessThan(2000)
    await expect(
      openRasterFolder(await rasterFolder({ 'a.npz': many }), {
        ...options,
        bands: ['B2'],
        bandNames: ['B2'],
      }),
    ).rejects.toThrow(/a\.npz holds 1000001 images of 1 x 1 pixels, and at most 1000000 of one file/)
  })

  it('that are large and packed are unpacked up to what is wanted', async () => {
    const [items, side] = [65, 1000] // 65 MB, of which the last image alone has other values than 0
    const values = new Uint8Array(items * side * side)
    values.fill(7, (items - 1) * side * side)
    values[values.length - 1] = 9
    const dir = await rasterFolder({
      'a.npz': npz({ images: rawNpy('|u1', [items, 1, side, side], values) }),
    })
    const source = await openRasterFolder(dir, { ...options, bands: ['B2'], bandNames: ['B2'] })
    const box = { left: side - 2, top: side - 1, width: 2, height: 1 }
    expect(await readSample(source, { index: items - 1, box })).toEqual([7, 9])
    expect(await readSample(source, { index: items - 2, box })).toEqual([0, 0])
  })
})

describe('large scenes', () => {
  const side = 8000
  it('of nothing cost nothing, however large they say that they are', async () => {
    const [long, short] = [
      (value: number) => ({ type: 4 as const, values: [value] }),
      (value: number) => ({ type: 3 as const, values: [value] }),
    ]
    const tags = {
      256: long(side),
      257: long(side),
      278: long(side),
      273: long(0),
      279: long(0),
      339: short(1),
    }
    const sparse = tiff({ width: 1, height: 1, descriptions: ['B2'], tags })
    expect(sparse.length).toBeLessThan(400)
    const source = await openRasterFolder(await rasterFolder({ 'a.tif': sparse }), {
      ...options,
      bands: ['B2'],
    })
    const target = { width: 3, height: 2 }
    const before = process.memoryUsage().arrayBuffers
    expect(await readSample(source, { target, maxPixels: 1e8 })).toEqual([0, 0, 0, 0, 0, 0])
    // The scene would be 256 MB.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16e6)
    await expect(readSample(source, { target })).rejects.toThrow(/8000 x 8000 pixels are more than the limit/)
    const hollow = await openRasterFolder(source.dir, { ...options, bands: ['B2'], nodata: 5 })
    await expect(readSample(hollow, { target, maxPixels: 1e8 })).rejects.toThrow(/^no data: 0 %/)
  })

  it('are read in parts, which together are the whole', async () => {
    const value = (_: number, y: number, x: number) => (x === 3 && y === 5 ? 0 : ((7 * x + 13 * y) % 101) + 1)
    const fine = tiff({ width: 40, height: 30, grid: utm, value, nodata: '0' })
    const coarse = tiff({ width: 20, height: 15, grid: { ...utm, metres: 20 }, value })
    const dir = await rasterFolder({ 'a_B02.tif': fine, 'a_B03.tif': coarse })
    const source = await openRasterFolder(dir, { ...options, bands: ['B2', 'B3'] })
    for (const target of [
      { width: 7, height: 9 },
      { width: 50, height: 60 },
    ]) {
      const whole = await readSample(source, { target })
      for (const atOnce of [1, 200, 700]) {
        const parts = await readSample(source, { target, atOnce })
        expect(parts).toHaveLength(whole.length)
        expect(parts).toEqual(whole.map((each) => (Number.isNaN(each) ? each : expect.closeTo(each, 4))))
      }
    }
  })
})
