/**
 * Pillow's ImageEnhance: plain + factor · (image − plain), where `plain` is the image without what is changed: less of it for a factor
 * below 1, more of it above. Product and sum are float32 and the fraction is cut off, as Pillow's are: that decides bytes.
 */
import type { Change } from './change.ts'
import { luma } from './greyscale.ts'
import { byTable } from './value-tables.ts'

const toByte = (value: number): number => (value <= 0 ? 0 : value >= 255 ? 255 : value | 0)

/** The products of a factor with all differences of two bytes, at the difference + 255. */
function productsOf(factor: number): Float32Array {
  const products = new Float32Array(511)
  for (let i = 0; i < 511; i++) products[i] = Math.fround(factor) * (i - 255)
  return products
}

const blended = (plain: number, value: number, products: Float32Array): number =>
  toByte(Math.fround(plain + products[value - plain + 255]!))

/** Against one level everywhere. */
function againstLevel(level: number, factor: number): Change {
  const products = productsOf(factor)
  return (image) => byTable(image, (value) => blended(level, value, products))
}

/** Against black. */
export const brightness = (factor: number): Change => againstLevel(0, factor)

/** Against the mean luma of the image. */
export const contrast =
  (factor: number): Change =>
  (image) => {
    const { pixels } = image
    let total = 0
    for (let i = 0; i < pixels.length; i += 3) total += luma(pixels, i)
    return againstLevel(Math.floor(total / (pixels.length / 3) + 0.5), factor)(image)
  }

/** Against the luma of each pixel. */
export const saturation =
  (factor: number): Change =>
  ({ pixels }) => {
    const products = productsOf(factor)
    const out = new Uint8Array(pixels.length)
    for (let i = 0; i < pixels.length; i += 3) {
      const grey = luma(pixels, i)
      out[i] = blended(grey, pixels[i]!, products)
      out[i + 1] = blended(grey, pixels[i + 1]!, products)
      out[i + 2] = blended(grey, pixels[i + 2]!, products)
    }
    return out
  }

/** Against the image smoothed by [1 1 1; 1 5 1; 1 1 1] / 13, which leaves the border. */
export const sharpness =
  (factor: number): Change =>
  ({ pixels, width, height }) => {
    const products = productsOf(factor)
    const out = pixels.slice()
    const row = width * 3
    for (let y = 1; y < height - 1; y++)
      for (let i = y * row + 3; i < (y + 1) * row - 3; i++) {
        let total = 4 * pixels[i]!
        for (let at = i - row; at <= i + row; at += row)
          total += pixels[at - 3]! + pixels[at]! + pixels[at + 3]!
        out[i] = blended(Math.floor(total / 13 + 0.5), pixels[i]!, products)
      }
    return out
  }
