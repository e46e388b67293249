import { describe, expect, it } from 'vitest'
import type { Clipping } from '../../../src/prepare/raster/clipping.ts'
import { measureRasterStatistics } from '../../../src/prepare/raster/raster-statistics.ts'
import { openRasterFolder, type RasterOptions } from '../../../src/source/raster/raster-folder.ts'
import { rasterFolder, rasterOptions, type Tiff, tiff } from '../../source/raster/make-rasters.ts'

const pair = (value: Tiff['value'], options: Partial<Tiff> = {}) =>
  tiff({ width: 4, height: 2, bands: 2, descriptions: ['B2', 'B3'], ...(value && { value }), ...options })
const measure = async (
  files: Record<string, Uint8Array>,
  clip: Clipping = 'none',
  options: Partial<RasterOptions> & { maxSamples?: number } = {},
) => {
  const { maxSamples, ...rest } = options
  const source = await openRasterFolder(await rasterFolder(files), { ...rasterOptions, ...rest })
  return measureRasterStatistics(source, { clip, ...(maxSamples !== undefined && { maxSamples }) })
}

describe('statistics of bands', () => {
  it('are those of the pixels with data, in the files’ units', async () => {
    // B2: 1 to 8; B3: 10 in the first image, where one pixel has no data, and 30 in the second.
    const first = pair((b, y, x) => (b === 0 ? 4 * y + x + 1 : x === 3 && y === 1 ? 0 : 10), { nodata: '0' })
    const second = pair((b, y, x) => (b === 0 ? 4 * y + x + 1 : 30))
    const found = await measure({ 'a.tif': first, 'b.tif': second })
    const ones = [1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6, 7, 8]
    const mean = ones.reduce((sum, value) => sum + value) / 15
    const std = Math.sqrt(ones.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 15)
    expect(found.mean[0]).toBeCloseTo(mean, 12)
    expect(found.std[0]).toBeCloseTo(std, 12)
    expect(found.mean[1]).toBeCloseTo((7 * 10 + 8 * 30) / 15, 12)
    expect(found.std[1]).toBeCloseTo(
      Math.sqrt((7 * (10 - 310 / 15) ** 2 + 8 * (30 - 310 / 15) ** 2) / 15),
      12,
    )
    expect(found).toMatchObject({ low: null, high: null, samples: 2 })
    expect(await measure({ 'a.tif': first, 'b.tif': second })).toEqual(found)
  })

  it('clip at two deviations, or at percentiles as NumPy has them', async () => {
    const file = pair((b, y, x) => (b === 0 ? 4 * y + x : 7))
    const deviations = await measure({ 'a.tif': file }, 'deviations')
    const std = Math.sqrt(63 / 12) // of 0 to 7: (n² − 1) / 12
    expect(deviations.low![0]).toBeCloseTo(3.5 - 2 * std, 12)
    expect(deviations.high![0]).toBeCloseTo(3.5 + 2 * std, 12)
    const percentiles = await measure({ 'a.tif': file }, 'percentiles')
    expect(percentiles.low![0]).toBeCloseTo(0.14, 12) // 0.02 · 7
    expect(percentiles.high![0]).toBeCloseTo(6.86, 12)
    // A band that never changes.
    expect([percentiles.std[1], percentiles.low![1], percentiles.high![1]]).toEqual([1, 7, 7])
    expect([deviations.mean[1], deviations.std[1], deviations.low![1]]).toEqual([7, 1, 7])
  })

  it('do not lose small deviations of large values', async () => {
    const value = (_: number, y: number) => 1e6 + y / 8
    const { mean, std } = await measure({ 'a.tif': pair(value, { type: 'f4' }) })
    expect(mean).toEqual([1e6 + 1 / 16, 1e6 + 1 / 16])
    expect(std).toEqual([1 / 16, 1 / 16])
  })

  it('read windows and frames, at most so many samples, spread evenly', async () => {
    const value = (_: number, y: number, x: number) => 2 * Math.floor(y / 2) + Math.floor(x / 2) // windows 0, 1, 2, 3
    const file = pair(value, { height: 4 })
    expect(await measure({ 'a.tif': file }, 'none', { window: 2 })).toMatchObject({
      mean: [1.5, 1.5],
      samples: 4,
    })
    expect(await measure({ 'a.tif': file }, 'none', { window: 2, maxSamples: 2 })).toMatchObject({
      mean: [1, 1],
      samples: 2,
    })
    const series = { 's_20200101.tif': pair(() => 1), 's_20200102.tif': pair(() => 4) }
    expect(await measure(series, 'none', { frames: 3 })).toMatchObject({
      mean: [2.5, 2.5],
      std: [1.5, 1.5],
      samples: 1,
    })
  })

  it('leave out what cannot be read, and say so when that is all', async () => {
    const empty = pair((b) => (b === 1 ? 0 : 5), { nodata: '0' })
    expect(await measure({ 'a.tif': empty, 'b.tif': pair(() => 3) })).toMatchObject({
      mean: [3, 3],
      samples: 1,
    })
    await expect(measure({ 'a.tif': empty })).rejects.toMatchObject({
      code: 'SOURCE',
      message: expect.stringMatching(
        /None of 1 samples of .* holds a pixel with data in all bands\. The first, a\.tif: no data: .*; B3 has none at all/,
      ),
    })
    const broken = tiff({
      width: 4,
      height: 2,
      bands: 2,
      descriptions: ['B2', 'B3'],
      tags: { 259: { type: 3, values: [5] } },
    })
    await expect(measure({ 'a.tif': broken })).rejects.toMatchObject({ code: 'DATA_BROKEN' })
  })
})
