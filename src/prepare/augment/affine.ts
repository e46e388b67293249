/** Affine changes of an image's geometry, bilinear, with Pillow's conventions for where pixels lie. */
import type { Change } from './change.ts'

/** (x, y) of the result comes from (a x + b y + c, d x + e y + f), pixel centres at halves. */
type Matrix = readonly [a: number, b: number, c: number, d: number, e: number, f: number]

/** What comes from outside of the image is `fill` [3]. */
const transform =
  ([a, b, c, d, e, f]: Matrix, fill: readonly number[]): Change =>
  ({ pixels, width, height }) => {
    const out = new Uint8Array(pixels.length)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const [fromX, fromY] = [a * (x + 0.5) + b * (y + 0.5) + c, d * (x + 0.5) + e * (y + 0.5) + f]
        const to = (y * width + x) * 3
        if (fromX < 0 || fromX >= width || fromY < 0 || fromY >= height) {
          out.set(fill, to)
          continue
        }
        const [left, top] = [Math.floor(fromX - 0.5), Math.floor(fromY - 0.5)]
        const [dx, dy] = [fromX - 0.5 - left, fromY - 0.5 - top]
        const at = (column: number, row: number, channel: number) =>
          pixels[
            (Math.min(height - 1, Math.max(0, row)) * width + Math.min(width - 1, Math.max(0, column))) * 3 +
              channel
          ]!
        for (let channel = 0; channel < 3; channel++) {
          const upper = at(left, top, channel) * (1 - dx) + at(left + 1, top, channel) * dx
          const lower = at(left, top + 1, channel) * (1 - dx) + at(left + 1, top + 1, channel) * dx
          out[to + channel] = Math.trunc(upper * (1 - dy) + lower * dy)
        }
      }
    return out
  }

export const shearX = (by: number, fill: readonly number[]): Change => transform([1, by, 0, 0, 1, 0], fill)
export const shearY = (by: number, fill: readonly number[]): Change => transform([1, 0, 0, by, 1, 0], fill)
/** By a share of the width. */
export const translateX =
  (share: number, fill: readonly number[]): Change =>
  (image) =>
    transform([1, 0, share * image.width, 0, 1, 0], fill)(image)
/** By a share of the height. */
export const translateY =
  (share: number, fill: readonly number[]): Change =>
  (image) =>
    transform([1, 0, 0, 0, 1, share * image.height], fill)(image)
/** Around the centre, counter-clockwise. */
export const rotate =
  (degrees: number, fill: readonly number[]): Change =>
  (image) => {
    const angle = (-degrees * Math.PI) / 180
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)]
    const [x, y] = [image.width / 2, image.height / 2]
    return transform([cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y], fill)(image)
  }
