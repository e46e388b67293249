import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { imagenetStatistics } from '../../src/prepare/normalize.ts'
import { measureStatistics } from '../../src/prepare/statistics.ts'
import { openImageFolder } from '../../src/source/image-folder.ts'
import { fromBytes, temporaryFolder } from './decode/make-images.ts'

const flat = (colour: number[]) => fromBytes(Array.from({ length: 64 }, () => colour).flat(), 8).png()
const size = { width: 8, height: 8, channels: 3, minSide: 4 }

describe('measureStatistics', () => {
  it('gives the mean and standard deviation of each channel', async () => {
    const dir = await temporaryFolder()
    await flat([10, 100, 7]).toFile(join(dir, 'a.png'))
    await flat([30, 200, 7]).toFile(join(dir, 'b.png'))
    const { mean, std, samples } = await measureStatistics(await openImageFolder(dir), size)
    expect(samples).toBe(2)
    for (const [c, value] of [20, 150, 7].entries()) expect(mean[c]).toBeCloseTo(value / 255, 12)
    expect(std[0]).toBeCloseTo(10 / 255, 12)
    expect(std[1]).toBeCloseTo(50 / 255, 12)
    // A channel that never changes: one grey level, so that (x − mean) / std is 0 and not NaN.
    expect(std[2]).toBe(1 / 255)
  })

  it('reads the centre of evenly spaced files, as luma when one channel is wanted', async () => {
    const dir = await temporaryFolder()
    for (let i = 0; i < 10; i++) {
      const columns = Array.from({ length: 8 * 16 }, (_, p) => (p % 16 < 4 || p % 16 >= 12 ? 255 : 20 * i))
      await fromBytes(columns, 16, 1)
        .toColourspace('b-w')
        .png()
        .toFile(join(dir, `${i}.png`))
    }
    const folder = await openImageFolder(dir)
    const { mean, std, samples } = await measureStatistics(folder, { ...size, channels: 1, maxSamples: 5 })
    // Files 0, 2, 4, 6, 8: values 0, 40, 80, 120, 160.
    expect(samples).toBe(5)
    expect(mean).toHaveLength(1)
    expect(mean[0]).toBeCloseTo(80 / 255, 12)
    expect(std[0]).toBeCloseTo(Math.sqrt(3200) / 255, 12)
  })

  it('leaves out what cannot be decoded, and fails when nothing can', async () => {
    const dir = await temporaryFolder()
    await writeFile(join(dir, 'bad.jpg'), 'no image')
    const bad = measureStatistics(await openImageFolder(dir), size)
    await expect(bad).rejects.toMatchObject({
      code: 'DATA_BROKEN',
      message: expect.stringMatching(/1 of 1 images[\s\S]*bad\.jpg: expected a JPEG/),
    })
    await flat([51, 51, 51]).toFile(join(dir, 'good.png'))
    const { mean, samples } = await measureStatistics(await openImageFolder(dir), size)
    expect(samples).toBe(1)
    expect(mean[0]).toBeCloseTo(0.2, 12)
  })

  it('has ImageNet’s at hand', () => {
    expect(imagenetStatistics).toEqual({ mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] })
  })
})
