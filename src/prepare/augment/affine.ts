/** Affine changes of an image's geometry, bilinear, with Pillow's conventions for where pixels lie. */
import type { Change } from './change.ts'

/** (x, y) of the result comes from (a x + b y + c, d x + e y + f), pixel centres at halves. */
type Matrix = readonly [a: number, b: number, c: number, d: number, e: number, f: number]

/** What comes from outside of the image is `fill` [3]. */
const transform =
  ([a, b, c, d, e, f]: Matrix, fill: readonly number[]): Change =>
  ({ pixels, width, height }) => {
    const out = new Uint8Array(pixels.length)
    const [red, green, blue] = fill as readonly [number, number, number]
    const within = (at: number, length: number) => Math.min(length - 1, Math.max(0, at))
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const fromX = a * (x + 0.5) + b * (y + 0.5) + c
        const fromY = d * (x + 0.5) + e * (y + 0.5) + f
        const to = (y * width + x) * 3
        if (fromX < 0 || fromX >= width || fromY < 0 || fromY >= height) {
          out[to] = red
          out[to + 1] = green
          out[to + 2] = blue
          continue
        }
        const left = Math.floor(fromX - 0.5)
        const top = Math.floor(fromY - 0.5)
        const dx = fromX - 0.5 - left
        const dy = fromY - 0.5 - top
        const [west, east] = [3 * within(left, width), 3 * within(left + 1, width)]
        const [north, south] = [3 * width * within(top, height), 3 * width * within(top + 1, height)]
        for (let channel = 0; channel < 3; channel++) {
          const upper = pixels[north + west + channel]! * (1 - dx) + pixels[north + east + channel]! * dx
          const lower = pixels[south + west + channel]! * (1 - dx) + pixels[south + east + channel]! * dx
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
