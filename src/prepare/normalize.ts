/**
 * Normalises samples on the device. Images: bytes [B, H, W, C] → float32 [B, C, H, W], (x / 255 − mean) / std per channel. Rasters: values
 * [B, T, C, H, W] in the files' units, clipped, (x − mean) / std per band, zero for no data.
 */
import { call } from '../tensor/call.ts'
import { mul, permute, sub, toDevice, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, fromArray, type Tensor, tensor } from '../tensor/tensor.ts'
import { type View, viewOf, withoutNaN } from './view.ts'

/** Per channel: of bytes divided by 255, or of a raster's values. */
export interface ChannelStatistics {
  readonly mean: readonly number[]
  readonly std: readonly number[]
  /** Rasters: bounds of clipping; null: none. */
  readonly low?: readonly (number | null)[] | undefined
  readonly high?: readonly (number | null)[] | undefined
}

/** As in the reference recipes. */
export const imagenetStatistics: ChannelStatistics = {
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
}

export interface Pixels {
  /** [B, H, W, C]; for rasters, the bytes of float32 [B, T, C, H, W], with NaN for no data. */
  readonly pixels: Uint8Array
  readonly shape: readonly [B: number, H: number, W: number, C: number]
  readonly rasters?: RasterFacts | null
}

export interface RasterFacts {
  /** T */
  readonly frames: number
  /** [B, 1 + T] metres per pixel, and the time of each frame in ms since 1970; NaN if unknown. */
  readonly facts: Float64Array
}

/** Times [B · T] and metres per pixel [B]; NaN if unknown. */
export const factsOfRasters = ({ frames: T, facts }: RasterFacts) => {
  const rows = Array.from({ length: facts.length / (1 + T) }, (_, b) =>
    facts.subarray(b * (1 + T), (b + 1) * (1 + T)),
  )
  return {
    times: Float64Array.from(rows.flatMap((row) => [...row.subarray(1)])),
    resolution: Float64Array.from(rows, (row) => row[0]!),
  }
}

/** Copies some rows of samples [B, …]. */
export function pickSamples({ pixels, shape, rasters }: Pixels, rows: readonly number[]): Pixels {
  const bytes = pixels.length / shape[0]
  const [, ...rest] = shape
  const each = rasters ? 1 + rasters.frames : 0
  return {
    pixels: Buffer.concat(rows.map((row) => pixels.subarray(row * bytes, (row + 1) * bytes))),
    shape: [rows.length, ...rest],
    rasters: rasters
      ? {
          frames: rasters.frames,
          facts: Float64Array.from(
            rows.flatMap((row) => [...rasters.facts.subarray(row * each, (row + 1) * each)]),
          ),
        }
      : null,
  }
}

/** Called inside a scope. */
export const toView = (pixels: Pixels, statistics: ChannelStatistics, device: Device): View =>
  pixels.rasters
    ? rasterView(pixels, pixels.rasters, statistics, device)
    : viewOf(normalizePixels(pixels, statistics, device))

/** The values of rasters [B, T, C, H, W]. */
export function rasterValues({ pixels, shape: [B, H, W, C] }: Pixels, { frames }: RasterFacts): Float32Array {
  const count = B * frames * C * H * W
  const isAligned = pixels.byteOffset % 4 === 0
  const bytes = isAligned ? pixels : Uint8Array.from(pixels)
  return new Float32Array(bytes.buffer, bytes.byteOffset, count)
}

function rasterView(
  pixels: Pixels,
  rasters: RasterFacts,
  statistics: ChannelStatistics,
  device: Device,
): View {
  const [B, H, W, C] = pixels.shape
  const { frames: T } = rasters
  return scope(() => {
    const raw = fromArray(rasterValues(pixels, rasters), [B, T, C, H, W], 'float32')
    const { pixels: known, valid } = normalizeValues(raw, statistics)
    const { times, resolution } = factsOfRasters(rasters)
    const unlessUnknown = (values: Float64Array) => (values.every(Number.isNaN) ? null : values)
    return {
      pixels: toDevice(known, device),
      valid: valid && toDevice(valid, device),
      times: unlessUnknown(times),
      resolution: unlessUnknown(resolution),
    }
  })
}

/** Values of rasters [B, T, C, H, W] in the files' units, NaN for no data, on the CPU. */
export function normalizeValues(
  raw: Tensor,
  { mean, std, low, high }: ChannelStatistics,
): Pick<View, 'pixels' | 'valid'> {
  return scope(() => {
    const ofBands = (values: readonly (number | null)[], absent: number) =>
      tensor(
        values.map((value) => value ?? absent),
        [values.length, 1, 1],
      )
    const above = low ? call('maximum', raw, ofBands(low, Number.NEGATIVE_INFINITY)) : raw
    const clipped = high ? call('minimum', above, ofBands(high, Number.POSITIVE_INFINITY)) : above // NaN stays
    const scaled = mul(
      sub(clipped, ofBands(mean, 0)),
      ofBands(
        std.map((s) => 1 / s),
        1,
      ),
    )
    return withoutNaN(scaled)
  })
}

/** Copies the bytes to the device and normalises them there. */
export function normalizePixels(
  { pixels, shape }: Pixels,
  statistics: ChannelStatistics,
  device: Device,
): Tensor {
  return scope(() => {
    const bytes = fromArray(pixels, shape, 'uint8', device)
    return permute(normalizeBytes(toDtype(bytes, 'float32'), statistics), [0, 3, 1, 2])
  })
}

/** Values 0 … 255 [..., C] in float32. */
export function normalizeBytes(bytes: Tensor, { mean, std }: ChannelStatistics): Tensor {
  return scope(() => {
    const ofChannels = (values: readonly number[]) => toDevice(tensor(values, [values.length]), bytes.device)
    const scale = ofChannels(std.map((s) => 1 / (255 * s)))
    const shift = ofChannels(mean.map((m, c) => m / std[c]!))
    return sub(mul(bytes, scale), shift)
  })
}
