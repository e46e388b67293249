/**
 * Normalises samples on the device. Images: bytes [B, H, W, C], or float32 of the same range, → float32 [B, C, H, W], (x / 255 − mean) / std per channel. Rasters: values
 * [B, T, C, H, W] in the files' units, clipped, (x − mean) / std per band, zero for no data.
 */
import { call } from '../tensor/call.ts'
import { add, mul, permute, sub, toDevice, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, fromArray, type Tensor, tensor } from '../tensor/tensor.ts'
import { type ImagePixels, isOfRasters, type Pixels, type RasterPixels } from './pixels.ts'
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

/** Called inside a scope. */
export const toView = (samples: Pixels, statistics: ChannelStatistics, device: Device): View =>
  isOfRasters(samples)
    ? rasterView(samples, statistics, device)
    : viewOf(normalizePixels(samples, statistics, device))

function rasterView(
  { pixels, shape, times, resolution }: RasterPixels,
  statistics: ChannelStatistics,
  device: Device,
): View {
  return scope(() => {
    const { pixels: known, valid } = normalizeValues(fromArray(pixels, shape, 'float32'), statistics)
    // A copy: the loader reuses the memory.
    const unlessUnknown = (values: Float64Array) => (values.every(Number.isNaN) ? null : values.slice())
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
  { pixels, shape }: ImagePixels,
  statistics: ChannelStatistics,
  device: Device,
): Tensor {
  return scope(() => {
    const values = fromArray(pixels, shape, pixels instanceof Uint8Array ? 'uint8' : 'float32', device)
    return permute(normalizeBytes(toDtype(values, 'float32'), statistics), [0, 3, 1, 2])
  })
}

/** What bytes are multiplied with, and what is taken from them, [C] on a device. */
export interface Scaling {
  readonly scale: Tensor
  readonly shift: Tensor
}

export function scalingOf({ mean, std }: ChannelStatistics, device: Device): Scaling {
  const ofChannels = (values: readonly number[]) => toDevice(tensor(values, [values.length]), device)
  return {
    scale: ofChannels(std.map((s) => 1 / (255 * s))),
    shift: ofChannels(mean.map((m, c) => m / std[c]!)),
  }
}

/** Values 0 … 255 [..., C] in float32. */
export const scaled = (bytes: Tensor, { scale, shift }: Scaling): Tensor =>
  scope(() => sub(mul(bytes, scale), shift))

/** The same, of statistics. */
export const normalizeBytes = (bytes: Tensor, statistics: ChannelStatistics): Tensor =>
  scope(() => scaled(bytes, scalingOf(statistics, bytes.device)))

/** Normalised images [B, C, H, W] as numbers from 0 to 255, as in files. */
export const imageBytes = (images: Tensor, { mean, std }: ChannelStatistics): Tensor => {
  const ofChannels = (values: readonly number[]) =>
    toDevice(
      tensor(
        values.map((x) => 255 * x),
        [1, values.length, 1, 1],
      ),
      images.device,
    )
  return call('clamp', add(mul(images, ofChannels(std)), ofChannels(mean)), 0, 255)
}
