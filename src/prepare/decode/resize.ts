/**
 * Bicubic resampling (Catmull-Rom, a = −0.5) that widens its kernel when it shrinks: Pillow's algorithm in Pillow's fixed-point
 * arithmetic, so its output is Pillow's and torchvision's byte for byte. It exists because libvips enlarges half a
 * pixel off, and because for small images it costs a tenth of what setting up a libvips pipeline does.
 */
import type { Box, Size } from '../../source/box.ts'

const PRECISION_BITS = 22
const HALF = 1 << (PRECISION_BITS - 1)
const SUPPORT = 2
const CHANNELS = 3

function cubic(distance: number): number {
  const x = Math.abs(distance)
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * -0.5
  return 0
}

/** For each output position, the inputs it reads: `count[o]` of them from `first[o]`, weighted by row `o` of `weights`. */
interface Taps {
  readonly first: Int32Array
  readonly count: Int32Array
  readonly weights: Int32Array
  readonly stride: number
}

function tapsOf(inputs: number, outputs: number): Taps {
  const scale = inputs / outputs
  const widening = Math.max(scale, 1)
  const support = SUPPORT * widening
  const stride = Math.ceil(support) * 2 + 1
  const first = new Int32Array(outputs)
  const count = new Int32Array(outputs)
  const weights = new Int32Array(outputs * stride)
  const row = new Float64Array(stride)
  for (let o = 0; o < outputs; o++) {
    const center = (o + 0.5) * scale
    const from = Math.max(0, Math.trunc(center - support + 0.5))
    const taps = Math.min(inputs, Math.trunc(center + support + 0.5)) - from
    let sum = 0
    for (let i = 0; i < taps; i++) {
      const weight = cubic((i + from - center + 0.5) * (1 / widening))
      row[i] = weight
      sum += weight
    }
    for (let i = 0; i < taps; i++) {
      const weight = row[i]! / sum
      weights[o * stride + i] = Math.trunc(weight * 2 ** PRECISION_BITS + (weight < 0 ? -0.5 : 0.5))
    }
    first[o] = from
    count[o] = taps
  }
  return { first, count, weights, stride }
}

interface Rows {
  readonly pixels: Uint8Array
  readonly lineWidth: number
  readonly box: Box
  readonly width: number
}

/** The box of an image of `lineWidth` pixels a line → [box.height, width, 3] */
function resizeRows({ pixels, lineWidth, box, width }: Rows): Uint8ClampedArray {
  const { first, count, weights, stride } = tapsOf(box.width, width)
  const out = new Uint8ClampedArray(box.height * width * CHANNELS)
  for (let x = 0; x < width; x++) {
    const taps = count[x]!
    for (let y = 0; y < box.height; y++) {
      let from = ((box.top + y) * lineWidth + box.left + first[x]!) * CHANNELS
      let red = HALF
      let green = HALF
      let blue = HALF
      for (let i = 0; i < taps; i++) {
        const weight = weights[x * stride + i]!
        red = (red + Math.imul(pixels[from]!, weight)) | 0
        green = (green + Math.imul(pixels[from + 1]!, weight)) | 0
        blue = (blue + Math.imul(pixels[from + 2]!, weight)) | 0
        from += CHANNELS
      }
      const to = (y * width + x) * CHANNELS
      out[to] = red >> PRECISION_BITS
      out[to + 1] = green >> PRECISION_BITS
      out[to + 2] = blue >> PRECISION_BITS
    }
  }
  return out
}

/** [H, W, 3] → [height, W, 3] */
function resizeColumns(pixels: Uint8ClampedArray, size: Size, height: number): Uint8ClampedArray {
  const { first, count, weights, stride } = tapsOf(size.height, height)
  const line = size.width * CHANNELS
  const out = new Uint8ClampedArray(height * line)
  const sums = new Int32Array(line)
  for (let y = 0; y < height; y++) {
    sums.fill(HALF)
    for (let i = 0; i < count[y]!; i++) {
      const weight = weights[y * stride + i]!
      const from = (first[y]! + i) * line
      for (let x = 0; x < line; x++) sums[x] = (sums[x]! + Math.imul(pixels[from + x]!, weight)) | 0
    }
    for (let x = 0; x < line; x++) out[y * line + x] = sums[x]! >> PRECISION_BITS
  }
  return out
}

/** Interleaved RGB bytes [height, width, 3]. */
export interface RgbImage extends Size {
  readonly pixels: Uint8Array
}

/**
 * Resizes a box of an image to [target.height, target.width, 3]. No pixel outside the box is read. Widths first and
 * rounded to bytes between the two passes, as Pillow does.
 */
export function resizeBicubic(image: RgbImage, box: Box, target: Size): Uint8Array {
  const rows = { pixels: image.pixels, lineWidth: image.width, box, width: target.width }
  const narrowed = resizeRows(rows) // [box.height, target.width, 3]
  const resized = resizeColumns(narrowed, { width: target.width, height: box.height }, target.height)
  return new Uint8Array(resized.buffer)
}
