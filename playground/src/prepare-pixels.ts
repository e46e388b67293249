/**
 * From what a browser decodes to what the model takes, by sherd's own code: cut and resampled as the model says, luma for grey models.
 * docs/playground.md says what may still differ by a level or two.
 */

import { type PixelRules, type RgbImage, resizePixels } from '../../src/prepare/decode/resize.ts'
import { storeSample } from '../../src/prepare/decode/sample-layout.ts'
import { type Fitting, fitted } from '../../src/prepare/fit.ts'
import type { Size } from '../../src/source/box.ts'

/** RGBA bytes laid over white, as RGB. */
export function overWhite(rgba: ArrayLike<number>, { width, height }: Size): RgbImage {
  const pixels = new Uint8Array(3 * width * height)
  for (let from = 0, to = 0; to < pixels.length; from += 4)
    for (let c = 0; c < 3; c++)
      pixels[to++] = Math.round(255 + (rgba[from + c]! - 255) * (rgba[from + 3]! / 255))
  return { pixels, width, height }
}

export interface Preparing {
  readonly fitting: Fitting
  readonly rules: PixelRules
}

/** An image at the model's size: bytes [H, W, C]. Without `preparing`, its centre. */
export function samplePixels(
  image: RgbImage,
  target: Size,
  channels: number,
  { fitting, rules }: Partial<Preparing> = {},
): Uint8Array {
  const rgb = resizePixels(image, fitted(image, target, fitting), target, rules) as Uint8Array
  const out = new Uint8Array(target.width * target.height * channels)
  storeSample(rgb, out, { width: target.width, channels, flip: false })
  return out
}

/** Bytes [H, W, C] as the graph's input [1, C, H, W], in the same units. */
export function toPlanes(bytes: Uint8Array, channels: number): Float32Array {
  const area = bytes.length / channels
  return Float32Array.from(
    { length: bytes.length },
    (_, i) => bytes[(i % area) * channels + Math.floor(i / area)]!,
  )
}
