import { describe, expect, it } from 'vitest'
import { openRasters } from '../../../src/prepare/raster/open-rasters.ts'
import { descriptorsOf } from '../../files/descriptors.ts'
import { rasterFolder, tiff } from '../../source/raster/make-rasters.ts'

describe.skipIf(process.platform !== 'linux')('open raster files', () => {
  it('are bounded in number, however many are used at once, and closed in the end', async () => {
    const names = Array.from({ length: 150 }, (_, i) => `${i}.tif`)
    const dir = await rasterFolder(
      Object.fromEntries(names.map((name) => [name, tiff({ width: 2, height: 2 })])),
    )
    const files = openRasters(dir)
    const read = (name: string) =>
      files.use(name, (file) =>
        file.read([{ file: name, band: 0 }], { left: 0, top: 0, width: 2, height: 2 }, { nodata: null }),
      )
    const all = await Promise.all(names.map(read)) // none is closed while it is read
    expect(all.map(([values]) => [...values!])).toEqual(names.map(() => [0, 1, 10, 11]))
    await expect.poll(() => descriptorsOf(dir)).toBe(128)
    await read('0.tif')
    await expect.poll(() => descriptorsOf(dir)).toBe(128)
    await expect(read('none.tif')).rejects.toThrow(/ENOENT/)
    files.close()
    await expect.poll(() => descriptorsOf(dir)).toBe(0)
  })
})
