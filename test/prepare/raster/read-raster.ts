// One sample of a folder of rasters, as numbers.

import { rasterReader } from '../../../src/prepare/raster/raster-reader.ts'
import type { Box } from '../../../src/source/box.ts'
import type { RasterFolder } from '../../../src/source/raster/raster-folder.ts'

export interface Asked {
  readonly index?: number
  readonly box?: Box
  readonly target?: { readonly width: number; readonly height: number }
  readonly maxPixels?: number
  /** Values in memory at once. */
  readonly atOnce?: number
}

/** [T, C, H, W], of the size of the box or the scene. Throws the reason why it cannot be read. */
export async function readSample(source: RasterFolder, asked: Asked = {}): Promise<number[]> {
  const { index = 0, maxPixels = 1e6, atOnce } = asked
  const { frames, bands, samples } = source.rasters
  const { width, height, window } = samples[index]!
  const box = asked.box ?? { left: 0, top: 0, ...(window ?? { width, height }) }
  const target = asked.target ?? { width: box.width, height: box.height }
  const out = new Uint8Array(frames * bands.length * target.width * target.height * 4)
  const reader = rasterReader(source, 1, atOnce)
  const place = () => ({ box: { ...box, left: asked.box?.left ?? 0, top: asked.box?.top ?? 0 }, flip: false })
  const [reason] = await reader.read([{ index, row: 0, place }], {
    ...{ target, channels: bands.length, frames, out, minSide: 1, maxPixels },
  })
  reader.close()
  if (reason !== null) throw new Error(reason)
  return [...new Float32Array(out.buffer)]
}
