/**
 * Resampling that widens its kernel when it shrinks: Pillow's algorithm in Pillow's fixed-point arithmetic, so its output is Pillow's and
 * torchvision's byte for byte. It exists because libvips enlarges half a pixel off, and because for small images it costs a tenth of what
 * setting up a libvips pipeline does.
 */
import type { Box, Size } from '../../source/box.ts'
import type { Placement } from './placement.ts'

export const PRECISION_BITS = 22
const HALF = 1 << (PRECISION_BITS - 1)
const CHANNELS = 3

interface Kernel {
  /** Weights are 0 beyond this distance. */
  readonly support: number
  readonly weight: (distance: number) => number
}

/** Catmull-Rom (a = −0.5). */
function cubic(distance: number): number {
  const x = Math.abs(distance)
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * -0.5
  return 0
}

/** The table of kernels, as in native/pixels/resize.h. */
const kernels = {
  bicubic: { support: 2, weight: cubic },
  bilinear: { support: 1, weight: (distance) => Math.max(0, 1 - Math.abs(distance)) },
} satisfies Record<string, Kernel>

export type Interpolation = keyof typeof kernels
export const interpolations = Object.keys(kernels) as [Interpolation, ...Interpolation[]]

/** How pixels are made of those of the box. */
export interface PixelRules {
  /** Default: bicubic. */
  readonly interpolation?: Interpolation
  /** Values between whole numbers stay: samples are of float32, 0 to 255, and nothing is cut off. Default: bytes. */
  readonly isExact?: boolean
  /** What lies beside the resized box, 0 to 255 of each channel of the file. Default: black. */
  readonly fill?: readonly number[] | null
}

/** For each output position, the inputs it reads: `count[o]` of them from `first[o]`, weighted by row `o` of `weights`. */
interface Taps {
  readonly first: Int32Array
  readonly count: Int32Array
  readonly weights: Int32Array | Float64Array
  readonly stride: number
}

/** One side of the box, resized to `outputs` pixels, of which those from `skip` on are wanted. */
interface Side {
  readonly inputs: number
  readonly outputs: number
  readonly skip: number
  readonly wanted: number
}

/** Weights of bytes are whole numbers of 2^−PRECISION_BITS. */
export function tapsOf({ inputs, outputs, skip, wanted }: Side, rules: PixelRules): Taps {
  const { support: own, weight: weightAt }: Kernel = kernels[rules.interpolation ?? 'bicubic']
  const scale = inputs / outputs
  const widening = Math.max(scale, 1)
  const support = own * widening
  const stride = Math.ceil(support) * 2 + 1
  const first = new Int32Array(wanted)
  const count = new Int32Array(wanted)
  const weights = new (rules.isExact ? Float64Array : Int32Array)(wanted * stride)
  const row = new Float64Array(stride)
  for (let o = 0; o < wanted; o++) {
    const center = (skip + o + 0.5) * scale
    const from = Math.max(0, Math.trunc(center - support + 0.5))
    const taps = Math.min(inputs, Math.trunc(center + support + 0.5)) - from
    let sum = 0
    for (let i = 0; i < taps; i++) {
      const weight = weightAt((i + from - center + 0.5) * (1 / widening))
      row[i] = weight
      sum += weight
    }
    for (let i = 0; i < taps; i++) {
      const weight = row[i]! / sum
      weights[o * stride + i] = rules.isExact
        ? weight
        : Math.trunc(weight * 2 ** PRECISION_BITS + (weight < 0 ? -0.5 : 0.5))
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
  readonly taps: Taps
}

/** The box of an image of `lineWidth` pixels a line → [box.height, wanted, 3] */
function resizeRows({ pixels, lineWidth, box, taps }: Rows): Uint8ClampedArray {
  const { first, count, weights, stride } = taps
  const width = first.length
  const out = new Uint8ClampedArray(box.height * width * CHANNELS)
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < box.height; y++) {
      let from = ((box.top + y) * lineWidth + box.left + first[x]!) * CHANNELS
      let red = HALF
      let green = HALF
      let blue = HALF
      for (let i = 0; i < count[x]!; i++) {
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

/** [H, W, 3] → [wanted, W, 3] */
function resizeColumns(pixels: Uint8ClampedArray, width: number, taps: Taps): Uint8ClampedArray {
  const { first, count, weights, stride } = taps
  const line = width * CHANNELS
  const out = new Uint8ClampedArray(first.length * line)
  const sums = new Int32Array(line)
  for (let y = 0; y < first.length; y++) {
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

/** Both passes without rounding. */
function resizeExactly({ pixels, lineWidth, box, taps: across }: Rows, down: Taps): Float32Array {
  const width = across.first.length
  const line = width * CHANNELS
  const narrowed = new Float32Array(box.height * line)
  for (let y = 0; y < box.height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < CHANNELS; c++) {
        const from = ((box.top + y) * lineWidth + box.left + across.first[x]!) * CHANNELS + c
        let sum = 0
        for (let i = 0; i < across.count[x]!; i++)
          sum += across.weights[x * across.stride + i]! * pixels[from + i * CHANNELS]!
        narrowed[y * line + x * CHANNELS + c] = sum
      }
  const out = new Float32Array(down.first.length * line)
  for (let y = 0; y < down.first.length; y++)
    for (let x = 0; x < line; x++) {
      let sum = 0
      for (let i = 0; i < down.count[y]!; i++)
        sum += down.weights[y * down.stride + i]! * narrowed[(down.first[y]! + i) * line + x]!
      out[y * line + x] = sum
    }
  return out
}

/** Interleaved RGB bytes [height, width, 3]. */
export interface RgbImage extends Size {
  readonly pixels: Uint8Array
}

/** The part of a sample's side that the resized box covers: where it begins in the sample, and in the resized box. */
function overlap(side: number, resized: number, cut: number) {
  const at = Math.max(0, -cut)
  const skip = Math.max(0, cut)
  return { at, skip, wanted: Math.min(side - at, resized - skip) }
}

/**
 * Resizes a box of an image, and takes the sample out of it: [target.height, target.width, 3] of bytes, or of float32 where they are to be
 * exact. No pixel outside the box is read. Widths first and rounded to bytes between the two passes, as Pillow does.
 */
export function resizePixels(
  image: RgbImage,
  { box, cut }: Pick<Placement, 'box' | 'cut'>,
  target: Size,
  rules: PixelRules = {},
): Uint8Array | Float32Array {
  const { size, left, top } = cut ?? { size: target, left: 0, top: 0 }
  const x = overlap(target.width, size.width, left)
  const y = overlap(target.height, size.height, top)
  const across = { inputs: box.width, outputs: size.width, ...x }
  const down = { inputs: box.height, outputs: size.height, ...y }
  const rows = { pixels: image.pixels, lineWidth: image.width, box, taps: tapsOf(across, rules) }
  const resized = rules.isExact
    ? resizeExactly(rows, tapsOf(down, rules))
    : new Uint8Array(resizeColumns(resizeRows(rows), x.wanted, tapsOf(down, rules)).buffer)
  if (x.wanted === target.width && y.wanted === target.height) return resized
  const out = new (rules.isExact ? Float32Array : Uint8Array)(target.height * target.width * CHANNELS)
  if (rules.fill) for (let i = 0; i < out.length; i++) out[i] = rules.fill[i % rules.fill.length]!
  const line = x.wanted * CHANNELS
  for (let row = 0; row < y.wanted; row++)
    out.set(resized.subarray(row * line, (row + 1) * line), ((y.at + row) * target.width + x.at) * CHANNELS)
  return out
}

/** As `resizePixels`, by the default rules: a box of an image to [target.height, target.width, 3]. */
export const resizeBicubic = (image: RgbImage, box: Box, target: Size): Uint8Array =>
  resizePixels(image, { box }, target) as Uint8Array
