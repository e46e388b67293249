/** Samples of the loader as tiles: images, or the first date of rasters in true colour. */
import { isOfRasters, type Pixels } from '../prepare/pixels.ts'
import { compositesOf, compositeTile, stretchOf } from './composite.ts'
import type { Tile } from './tile.ts'

/** A copy, rounded. */
const bytesOf = (values: Uint8Array | Float32Array): Uint8Array =>
  new Uint8Array(Uint8ClampedArray.from(values).buffer)

/** `bands`: the names of a raster's channels. */
export function tilesOfSamples(samples: Pixels, bands: readonly string[] | null): Tile[] {
  if (!isOfRasters(samples)) {
    const [B, height, width, channels] = samples.shape
    const bytes = height * width * channels
    return Array.from({ length: B }, (_, b) => ({
      ...{ width, height, channels: channels === 1 ? 1 : 3 },
      pixels: bytesOf(samples.pixels.subarray(b * bytes, (b + 1) * bytes)),
    }))
  }
  const [B, T, channels, height, width] = samples.shape
  const composite = compositesOf([], bands ?? Array.from({ length: channels }, (_, c) => `${c + 1}`))[0]!
  return Array.from({ length: B }, (_, b) => {
    const first = b * T * channels * height * width
    const image = {
      ...{
        values: samples.pixels.slice(first, first + channels * height * width),
        valid: null,
        height,
        width,
      },
    }
    return compositeTile(composite, image, stretchOf([image]))
  })
}
