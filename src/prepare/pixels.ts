/** Samples as they are read, before they are normalised: the bytes of images, or the values of rasters with their dates and resolution. */

export interface ImagePixels {
  /** 0 to 255; float32 where resized values were not rounded. */
  readonly pixels: Uint8Array | Float32Array
  readonly shape: readonly [B: number, H: number, W: number, C: number]
}

/** NaN if unknown. */
export interface RasterFacts {
  /** [B · T] ms since 1970. */
  readonly times: Float64Array
  /** [B] metres per pixel. */
  readonly resolution: Float64Array
}

export interface RasterPixels extends RasterFacts {
  /** In the files' units, with NaN for no data. */
  readonly pixels: Float32Array
  readonly shape: readonly [B: number, T: number, C: number, H: number, W: number]
}

export type Pixels = ImagePixels | RasterPixels

export const isOfRasters = (samples: Pixels): samples is RasterPixels => samples.shape.length === 5

/** Height and width. */
export const sizeOf = (samples: Pixels): readonly [H: number, W: number] => {
  const { shape } = samples
  return shape.length === 5 ? [shape[3], shape[4]] : [shape[1], shape[2]]
}

interface SampleSize {
  readonly height: number
  readonly width: number
  readonly channels: number
  /** T of rasters; null (default) for images. */
  readonly frames?: number | null
  /** Values of images that are not rounded to bytes. */
  readonly isExact?: boolean
}

/** Memory for samples: `out` and `facts` for a reader to fill, and the samples that lie in it. */
export function sampleSpace(B: number, size: SampleSize) {
  const { height: H, width: W, channels: C, frames: T = null, isExact = false } = size
  if (T === null) {
    const pixels = new (isExact ? Float32Array : Uint8Array)(B * H * W * C)
    const samples: Pixels = { pixels, shape: [B, H, W, C] }
    return { out: new Uint8Array(pixels.buffer), samples }
  }
  const pixels = new Float32Array(B * T * C * H * W)
  const facts: RasterFacts = { times: new Float64Array(B * T), resolution: new Float64Array(B) }
  const samples: Pixels = { pixels, shape: [B, T, C, H, W], ...facts }
  return { out: new Uint8Array(pixels.buffer), facts, samples }
}

/** Copies some rows of values [count, …]. */
export function pickRows<A extends Uint8Array | Uint16Array | Float32Array | Float64Array>(
  values: A,
  count: number,
  rows: readonly number[],
): A {
  const each = values.length / count
  const picked = new (values.constructor as new (length: number) => A)(rows.length * each)
  for (const [to, row] of rows.entries()) picked.set(values.subarray(row * each, (row + 1) * each), to * each)
  return picked
}

/** Copies some rows of samples. */
export function pickSamples(samples: Pixels, rows: readonly number[]): Pixels {
  const [B] = samples.shape
  if (!isOfRasters(samples)) {
    const [, H, W, C] = samples.shape
    return { pixels: pickRows(samples.pixels, B, rows), shape: [rows.length, H, W, C] }
  }
  const [, T, C, H, W] = samples.shape
  return {
    pixels: pickRows(samples.pixels, B, rows),
    shape: [rows.length, T, C, H, W],
    times: pickRows(samples.times, B, rows),
    resolution: pickRows(samples.resolution, B, rows),
  }
}
