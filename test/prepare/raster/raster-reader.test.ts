import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../../src/package-root.ts'
import type { BatchSpace, WantedImage } from '../../../src/prepare/image-reader.ts'
import { rasterReader } from '../../../src/prepare/raster/raster-reader.ts'
import { resampleRaster } from '../../../src/prepare/raster/raster-resample.ts'
import type { Size } from '../../../src/source/box.ts'
import { openRasterFolder, type RasterOptions } from '../../../src/source/raster/raster-folder.ts'
import {
  npy,
  npz,
  rasterFolder,
  rasterOptions,
  type Tiff,
  tiff,
  utm,
} from '../../source/raster/make-rasters.ts'

const pair = (options: Partial<Tiff> = {}) =>
  tiff({ width: 6, height: 4, bands: 2, descriptions: ['B02', 'B03'], grid: utm, ...options })

interface Asked extends Partial<Pick<WantedImage, 'place' | 'frames'>> {
  readonly index?: number
  readonly target?: Size
  readonly minValid?: number
  readonly minSide?: number
}

const placeWhole: WantedImage['place'] = ({ width, height }) => ({
  box: { left: 0, top: 0, width, height },
  flip: false,
})

/** One sample of a folder, with what is told of it. */
async function readOne(
  files: Record<string, Uint8Array> | string,
  options: Partial<RasterOptions>,
  asked: Asked = {},
) {
  const dir = typeof files === 'string' ? files : await rasterFolder(files)
  const source = await openRasterFolder(dir, { ...rasterOptions, ...options })
  const { index = 0, place = placeWhole, target = { width: 6, height: 4 }, minSide = 1 } = asked
  const { frames, bands } = source.rasters
  const values = frames * bands.length * target.width * target.height
  const memory = new Uint8Array(8 * (1 + values)) // the second row, so that the first must stay as it is
  const out = memory.subarray(8, 8 + 8 * values)
  const facts = { times: new Float64Array(2 * frames).fill(-1), resolution: new Float64Array(2).fill(-1) }
  const space: BatchSpace = {
    ...{ target, channels: bands.length, frames, out, facts, minSide, maxPixels: 1e6 },
    ...(asked.minValid !== undefined && { minValid: asked.minValid }),
  }
  const reader = rasterReader(source, 1)
  const wanted = { index, row: 1, place, ...(asked.frames && { frames: asked.frames }) }
  const [reason] = await reader.read([wanted], space)
  reader.close()
  const all = new Float32Array(out.buffer, out.byteOffset, 2 * values)
  expect(all.subarray(0, values).every((value) => value === 0)).toBe(true)
  const { times, resolution } = facts
  expect([resolution[0], ...times.subarray(0, frames)]).toEqual(Array(1 + frames).fill(-1))
  return { reason, values: [...all.subarray(values)], facts: [resolution[1], ...times.subarray(frames)] }
}

const grid = (size: Size, value: (y: number, x: number) => number) =>
  Array.from({ length: size.width * size.height }, (_, i) =>
    value(Math.floor(i / size.width), i % size.width),
  )
const NONE = Number.NaN

describe('the reader of rasters', () => {
  it('gives the values of the bands in the order that is asked for, and what is known of them', async () => {
    const { reason, values, facts } = await readOne({ 'a_20210614.tif': pair() }, { bands: ['B3', 'B2'] })
    expect(reason).toBeNull()
    const of = (band: number) => grid({ width: 6, height: 4 }, (y, x) => 100 * band + 10 * y + x)
    expect(values).toEqual([...of(1), ...of(0)])
    expect(facts).toEqual([10, Date.UTC(2021, 5, 14)])
  })

  it.each(['u1', 'i2', 'u2', 'f4'] as const)('reads %s, either end first', async (type) => {
    const value = (b: number, y: number, x: number) =>
      (type === 'u1' ? 0 : 300 * b) + (type[0] === 'u' ? 0 : -31) + 10 * y + x
    for (const bigEndian of [false, true]) {
      const { values } = await readOne({ 'a.tif': pair({ type, value, bigEndian }) }, {})
      expect(values).toEqual([0, 1].flatMap((b) => grid({ width: 6, height: 4 }, (y, x) => value(b, y, x))))
    }
  })

  it('cuts a box, mirrors it, and tells how large its pixels are afterwards', async () => {
    const place: WantedImage['place'] = (image) => {
      expect(image).toEqual({ width: 6, height: 4, margin: { left: 0, top: 0, right: 0, bottom: 0 } })
      return { box: { left: 1, top: 2, width: 3, height: 2 }, flip: true }
    }
    const same = await readOne(
      { 'a.tif': pair() },
      { bands: ['B2'] },
      { place, target: { width: 3, height: 2 } },
    )
    expect(same.values).toEqual([23, 22, 21, 33, 32, 31])
    expect(same.facts).toEqual([10, NONE])
    const small = await readOne({ 'a.tif': pair() }, { bands: ['B2'] }, { target: { width: 3, height: 1 } })
    expect(small.facts[0]).toBeCloseTo(10 * Math.sqrt(2 * 4), 12)
    expect(small.values).toEqual([
      ...resampleRaster(
        Float32Array.from(grid({ width: 6, height: 4 }, (y, x) => 10 * y + x)),
        { width: 6, height: 4 },
        { width: 3, height: 1 },
      ),
    ])
  })

  it('lets a box reach out of its window', async () => {
    const place: WantedImage['place'] = (image) => {
      expect(image).toEqual({ width: 2, height: 2, margin: { left: 2, top: 0, right: 2, bottom: 2 } })
      return { box: { left: -1, top: 1, width: 2, height: 2 }, flip: false }
    }
    const asked = { index: 1, place, target: { width: 2, height: 2 } }
    expect((await readOne({ 'a.tif': pair() }, { bands: ['B2'], window: 2 }, asked)).values).toEqual([
      11, 12, 21, 22,
    ])
    const far = { ...asked, place: () => ({ box: { left: -3, top: 0, width: 2, height: 2 }, flip: false }) }
    await expect(readOne({ 'a.tif': pair() }, { bands: ['B2'], window: 2 }, far)).rejects.toMatchObject({
      code: 'BUG',
    })
  })

  it('brings coarser bands to the finest resolution, as a whole and in parts', async () => {
    const coarse = {
      width: 3,
      height: 2,
      grid: { ...utm, metres: 20 },
      value: (_: number, y: number, x: number) => 40 * y + 8 * x,
    }
    const files = { 's_B2.tif': pair({ bands: 1, descriptions: [] }), 's_B3.tif': tiff(coarse) }
    // By hand: the centre of the n-th fine pixel lies at n/2 − 1/4 coarse pixels, and stays at the border beyond the first centre.
    const at = (n: number, last: number) => Math.min(last, Math.max(0, n / 2 - 0.25))
    const expected = (y: number, x: number) => 40 * at(y, 1) + 8 * at(x, 2)
    const whole = await readOne(files, { bands: ['B3'] }, { target: { width: 3, height: 2 } })
    expect(whole.values).toEqual(grid({ width: 3, height: 2 }, (y, x) => 40 * y + 8 * x)) // nothing finer is asked for
    const both = await readOne(files, {})
    expect(both.values.slice(24)).toEqual(grid({ width: 6, height: 4 }, expected))
    const place = () => ({ box: { left: 1, top: 1, width: 3, height: 2 }, flip: false })
    const part = await readOne(files, {}, { place, target: { width: 3, height: 2 } })
    expect(part.values.slice(6)).toEqual(grid({ width: 3, height: 2 }, (y, x) => expected(y + 1, x + 1)))
    expect(part.values.slice(0, 6)).toEqual(grid({ width: 3, height: 2 }, (y, x) => 10 * (y + 1) + x + 1))
  })

  it('reads Sentinel-2 as GDAL writes it: 10, 20 and 60 m over one area', async () => {
    const dir = `${packageRoot()}/test/fixtures/rasters`
    const options = {
      bands: ['B1', 'B8A', 'B2'],
      pattern: '^(?<series>T32TPT)_(?<date>\\w+)_(?<band>B\\w\\w)_',
    }
    const { values, facts } = await readOne(dir, options, { target: { width: 72, height: 36 } })
    expect(facts).toEqual([10, Date.UTC(2021, 5, 14, 10, 10, 31)])
    // value = 3·y + 2·x of each band's own pixels: linear, so bilinear interpolation is exact within the borders.
    const linear = (factor: number) =>
      grid({ width: 72, height: 36 }, (y, x) => {
        const at = (n: number, size: number) =>
          Math.min(size / factor - 1, Math.max(0, (n + 0.5) / factor - 0.5))
        return 3 * at(y, 36) + 2 * at(x, 72)
      })
    for (const [c, factor] of [6, 2, 1].entries())
      for (const [i, value] of linear(factor).entries()) expect(values[c * 72 * 36 + i]).toBeCloseTo(value, 4)
  })

  describe('where there is no data', () => {
    const hole = (b: number, y: number, x: number) => (b === 1 && y === 1 && x < 2 ? 9 : 100 + x)
    const holed = grid({ width: 6, height: 4 }, (y, x) => (y === 1 && x < 2 ? NONE : 100 + x))

    it('gives NaN in all bands, by the tag, by the option, and for what is not finite', async () => {
      expect((await readOne({ 'a.tif': pair({ value: hole, nodata: '9' }) }, {})).values).toEqual([
        ...holed,
        ...holed,
      ])
      expect((await readOne({ 'a.tif': pair({ value: hole }) }, { nodata: 9 })).values).toEqual([
        ...holed,
        ...holed,
      ])
      // What the file says counts.
      expect(
        (await readOne({ 'a.tif': pair({ value: hole, nodata: '8' }) }, { nodata: 9 })).values,
      ).not.toContain(NONE)
      for (const odd of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const value = (b: number, y: number, x: number) => (hole(b, y, x) === 9 ? odd : hole(b, y, x))
        expect((await readOne({ 'a.tif': pair({ value, type: 'f4' }) }, {})).values).toEqual([
          ...holed,
          ...holed,
        ])
      }
      const lowest = (b: number, y: number, x: number) =>
        hole(b, y, x) === 9 ? -3.4028234663852886e38 : hole(b, y, x)
      expect(
        (
          await readOne(
            { 'a.tif': pair({ value: lowest, type: 'f4', nodata: '-3.4028234663852886e+38' }) },
            {},
          )
        ).values,
      ).toEqual([...holed, ...holed])
    })

    it('leaves out a sample that has too little of it, with the band that is to blame', async () => {
      const half = { value: (_: number, y: number) => (y < 2 ? 9 : 1), nodata: '9' }
      expect((await readOne({ 'a.tif': pair(half) }, {}, { minValid: 0.5 })).reason).toBeNull()
      expect((await readOne({ 'a.tif': pair(half) }, {}, { minValid: 0.51 })).reason).toBe(
        'no data: 50 % of the pixels have values in all bands, and 51 % are wanted',
      )
      const empty = { value: (b: number) => 9 - b, nodata: '9' }
      expect((await readOne({ 'a.tif': pair(empty) }, {})).reason).toBe(
        'no data: 0 % of the pixels have values in all bands; B2 has none at all',
      )
    })
  })

  describe('of a series', () => {
    const value = (shift: number) => ({
      value: (b: number, y: number, x: number) => shift + 100 * b + 10 * y + x,
    })
    const files = {
      's_20200103.tif': pair(value(3)),
      's_20200101.tif': pair(value(1)),
      's_20200102.tif': pair(value(2)),
    }
    const firsts = ({ values }: { values: readonly number[] }) => values.filter((_, i) => i % 24 === 0)

    it('takes evenly spread frames, or those that are asked for, in the order of time', async () => {
      const options = { frames: 2, bands: ['B3'] }
      const spread = await readOne(files, options)
      expect(firsts(spread)).toEqual([101, 103])
      expect(spread.facts).toEqual([10, Date.UTC(2020, 0, 1), Date.UTC(2020, 0, 3)])
      const frames = (available: number) => {
        expect(available).toBe(3)
        return [1, 2]
      }
      expect(firsts(await readOne(files, options, { frames }))).toEqual([102, 103])
      await expect(readOne(files, options, { frames: () => [2, 1] })).rejects.toMatchObject({ code: 'BUG' })
    })

    it('fills missing frames with NaN', async () => {
      const { values, facts } = await readOne(files, { frames: 4, bands: ['B2'] })
      expect(firsts({ values })).toEqual([1, 2, 3, NONE])
      expect(values.slice(72).every(Number.isNaN)).toBe(true)
      expect(facts.slice(3)).toEqual([Date.UTC(2020, 0, 3), NONE])
    })

    it('gives a frame without data as NaN, where others have some', async () => {
      const gap = { ...files, 's_20200102.tif': pair({ value: () => 0, nodata: '0' }) }
      expect(firsts(await readOne(gap, { frames: 3, bands: ['B2'] }))).toEqual([1, NONE, 3])
      expect((await readOne(gap, { frames: 3, bands: ['B2'] }, { minValid: 0.7 })).reason).toMatch(
        /^no data: 66\.7 %/,
      )
    })
  })

  it('reads NumPy arrays of every shape', async () => {
    const bandNames = ['B3', 'B2']
    const cube = (shape: readonly number[]) => npy('i2', shape, (i) => i - 5)
    const plane = (n: number) => grid({ width: 6, height: 4 }, (y, x) => 24 * n + 6 * y + x - 5)
    expect((await readOne({ 'a.npy': cube([2, 4, 6]) }, { bandNames })).values).toEqual([
      ...plane(1),
      ...plane(0),
    ])
    expect((await readOne({ 'a.npy': cube([3, 2, 4, 6]) }, { bandNames }, { index: 2 })).values).toEqual([
      ...plane(5),
      ...plane(4),
    ])
    expect(
      (await readOne({ 'a.npy': cube([2, 2, 4, 6]) }, { bandNames, frames: 2, bands: ['B2'] })).values,
    ).toEqual([...plane(1), ...plane(3)])
    expect(
      (
        await readOne(
          { 'a.npy': cube([2, 2, 2, 4, 6]) },
          { bandNames, frames: 2, bands: ['B2'] },
          { index: 1 },
        )
      ).values,
    ).toEqual([...plane(5), ...plane(7)])
    for (const level of [0, 6] as const) {
      const members = npz({ B2: cube([4, 6]), B3: npy('f8', [4, 6], (i) => i / 8) }, level)
      expect((await readOne({ 'a.npz': members }, {})).values).toEqual([
        ...plane(0),
        ...grid({ width: 6, height: 4 }, (y, x) => (6 * y + x) / 8),
      ])
      const place = () => ({ box: { left: 1, top: 1, width: 2, height: 2 }, flip: false })
      const part = await readOne(
        { 'a.npz': npz({ images: cube([2, 2, 4, 6]) }, level) },
        { bandNames, bands: ['B3'] },
        { index: 1, place, target: { width: 2, height: 2 } },
      )
      expect(part.values).toEqual([50, 51, 56, 57])
    }
  })

  describe('gives reasons', () => {
    it('with the file and the bands', async () => {
      const good = pair({ bands: 1, descriptions: [] })
      const whole = tiff({ width: 6, height: 4, grid: utm, tags: { 259: { type: 3, values: [8] } } }) // says deflate
      expect((await readOne({ 's_B2.tif': good, 's_B3.tif': whole }, {})).reason).toMatch(
        /^s_B3\.tif \(band B3\): a block of it cannot be unpacked \(.*\)$/,
      )
      const reason = (
        await readOne(
          { 's_B2.tif': good, 's_B3.tif': good.subarray(0, 30), 'z_B2.tif': good, 'z_B3.tif': good },
          {},
        )
      ).reason
      expect(reason).toMatch(/^s_B3\.tif \(band B3\): .*cut short or damaged/)
    })

    it('for scenes of odd sizes', async () => {
      const files = { 'a.tif': pair(), 'b.tif': pair({ width: 3 }) }
      expect(
        (await readOne(files, { window: 4 }, { index: 2, target: { width: 4, height: 4 } })).reason,
      ).toBe(
        'the scene of 3 x 4 pixels is smaller than a window of 4 x 4; remove it, or make the windows smaller',
      )
      expect((await readOne(files, {}, { minSide: 5 })).reason).toMatch(
        /^6 x 4 pixels are less than one patch of 5 x 5/,
      )
    })

    it('for a file that is gone, and reads it when it is back', async () => {
      const { rmSync, writeFileSync } = await import('node:fs')
      const dir = await rasterFolder({ 'a.tif': pair() })
      const source = await openRasterFolder(dir, rasterOptions)
      const reader = rasterReader(source, 1)
      const out = new Uint8Array(6 * 4 * 2 * 4)
      const read = () =>
        reader.read([{ index: 0, row: 0, place: placeWhole }], {
          target: { width: 6, height: 4 },
          channels: 2,
          out,
          minSide: 1,
          maxPixels: 1e6,
        })
      rmSync(`${dir}/a.tif`)
      expect(await read()).toEqual([expect.stringMatching(/^a\.tif \(bands B2, B3\): ENOENT/)])
      writeFileSync(`${dir}/a.tif`, pair({ width: 5 }))
      expect(await read()).toEqual([
        expect.stringMatching(/it has changed since the folder was opened: it is 5 x 4/),
      ])
      reader.close()
    })
  })

  it('is asked for as many channels as there are bands', async () => {
    const source = await openRasterFolder(await rasterFolder({ 'a.tif': pair() }), rasterOptions)
    const out = new Uint8Array(6 * 4 * 3 * 4)
    const space = { target: { width: 6, height: 4 }, channels: 3, out, minSide: 1, maxPixels: 1e6 }
    await expect(
      rasterReader(source, 1).read([{ index: 0, row: 0, place: placeWhole }], space),
    ).rejects.toThrow(/gives 2 bands, but 3 channels are wanted/)
  })
})
