/**
 * Bilinear resampling of rasters with NaN for no data: an antialiased triangle filter, as Pillow's BILINEAR and PyTorch's antialiased
 * `interpolate`, in floating point. Weights of pixels without data are dropped and the others normalised; if less than half of the
 * weight is left, the result is no data.
 */
import type { Size } from '../../source/box.ts'

/** One axis: outputs are spread evenly over the inputs. */
export interface Axis {
  readonly inputs: number
  readonly outputs: number
  /** Computes `count` outputs from `first` on. Default: all. */
  readonly first?: number
  readonly count?: number
}

/** Output `o` reads `counts[o]` inputs from `firsts[o]` on, weighted by row `o` of `weights`. */
export interface AxisTaps {
  readonly firsts: Int32Array
  readonly counts: Int32Array
  /** Each row sums to one. */
  readonly weights: Float64Array
  readonly stride: number
  /** The range of inputs: from `from`, before `to`. */
  readonly from: number
  readonly to: number
}

/** Less is no data; slightly below one half, since sums of weights are rounded. */
const HALF = 0.5 - 1e-9

export function tapsOf({ inputs, outputs, first = 0, count = outputs }: Axis): AxisTaps {
  const scale = inputs / outputs
  const support = Math.max(scale, 1)
  const stride = Math.ceil(support) * 2 + 1
  const firsts = new Int32Array(count)
  const counts = new Int32Array(count)
  const weights = new Float64Array(count * stride)
  for (let o = 0; o < count; o++) {
    const center = (first + o + 0.5) * scale
    const from = Math.max(0, Math.trunc(center - support + 0.5))
    const to = Math.min(inputs, Math.trunc(center + support + 0.5))
    let sum = 0
    for (let i = from; i < to; i++) {
      const weight = Math.max(0, 1 - Math.abs(i + 0.5 - center) / support)
      weights[o * stride + i - from] = weight
      sum += weight
    }
    for (let i = 0; i < to - from; i++) weights[o * stride + i]! /= sum
    firsts[o] = from
    counts[o] = to - from
  }
  return { firsts, counts, weights, stride, from: firsts[0]!, to: firsts[count - 1]! + counts[count - 1]! }
}

/** Resamples the part of an image that `across` and `down` read, [down.to − down.from, across.to − across.from]. */
export function resampleBy(values: Float32Array, across: AxisTaps, down: AxisTaps): Float32Array {
  const size = { width: across.firsts.length, height: down.firsts.length }
  const isWhole = !values.some(Number.isNaN)
  const data = isWhole ? values : values.map((value) => (Number.isNaN(value) ? 0 : value))
  const sums = columnsBy(rowsBy(data, across, down), size, down)
  if (isWhole) return Float32Array.from(sums)
  const isValid = values.map((value) => (Number.isNaN(value) ? 0 : 1))
  const shares = columnsBy(rowsBy(isValid, across, down), size, down)
  return Float32Array.from(sums, (sum, i) => (shares[i]! < HALF ? Number.NaN : sum / shares[i]!))
}

/** [H, from.width] → [H, W] */
function rowsBy(values: Float32Array, across: AxisTaps, { from, to }: AxisTaps): Float64Array {
  const { firsts, counts, weights, stride } = across
  const width = firsts.length
  const line = across.to - across.from
  const out = new Float64Array((to - from) * width)
  for (let y = 0; y < to - from; y++)
    for (let x = 0; x < width; x++) {
      const first = y * line + firsts[x]! - across.from
      let sum = 0
      for (let i = 0; i < counts[x]!; i++) sum += weights[x * stride + i]! * values[first + i]!
      out[y * width + x] = sum
    }
  return out
}

/** [from.height, W] → [H, W] */
function columnsBy(values: Float64Array, { width, height }: Size, down: AxisTaps): Float64Array {
  const out = new Float64Array(width * height)
  for (let y = 0; y < height; y++)
    for (let i = 0; i < down.counts[y]!; i++) {
      const weight = down.weights[y * down.stride + i]!
      const from = (down.firsts[y]! - down.from + i) * width
      for (let x = 0; x < width; x++) out[y * width + x]! += weight * values[from + x]!
    }
  return out
}

/** Resamples a whole image; returns the image itself if the sizes are equal. */
export function resampleRaster(values: Float32Array, size: Size, target: Size): Float32Array {
  if (size.width === target.width && size.height === target.height) return values
  const across = tapsOf({ inputs: size.width, outputs: target.width })
  const down = tapsOf({ inputs: size.height, outputs: target.height })
  return resampleBy(values, across, down)
}

/** Mirrors rows of `width` values left to right, in place. */
export function mirrorRows(values: Float32Array, width: number): void {
  for (let row = 0; row < values.length; row += width) values.subarray(row, row + width).reverse()
}

/** Reverses the order of rows, in place. */
export function reverseRows(values: Float32Array, width: number): void {
  const kept = new Float32Array(width)
  for (let top = 0, bottom = values.length - width; top < bottom; top += width, bottom -= width) {
    kept.set(values.subarray(top, top + width))
    values.copyWithin(top, bottom, bottom + width)
    values.set(kept, bottom)
  }
}
