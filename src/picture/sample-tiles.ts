/** Samples of the loader as tiles: images, or the first date of rasters in true colour. */
import { type Pixels, rasterValues } from '../prepare/normalize.ts'
import { compositesOf, compositeTile, stretchOf } from './composite.ts'
import type { Tile } from './tile.ts'

/** `bands`: the names of a raster's channels. */
export function tilesOfSamples(samples: Pixels, bands: readonly string[] | null): Tile[] {
  const [B, height, width, channels] = samples.shape
  const bytes = samples.pixels.length / B
  const { rasters } = samples
  if (!rasters)
    return Array.from({ length: B }, (_, b) => ({
      ...{ width, height, channels: channels === 1 ? 1 : 3 },
      pixels: samples.pixels.slice(b * bytes, (b + 1) * bytes),
    }))
  const values = rasterValues(samples, rasters)
  const composite = compositesOf([], bands ?? Array.from({ length: channels }, (_, c) => `${c + 1}`))[0]!
  return Array.from({ length: B }, (_, b) => {
    const first = b * rasters.frames * channels * height * width
    const image = {
      ...{ values: values.slice(first, first + channels * height * width), valid: null, height, width },
    }
    return compositeTile(composite, image, stretchOf([image]))
  })
}
