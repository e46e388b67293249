/** ITU-R 601 luma in Pillow's whole numbers. */
import type { Change } from './change.ts'

/** Of the pixel that begins at `i`. */
export const luma = (pixels: Uint8Array, i: number): number =>
  (pixels[i]! * 19595 + pixels[i + 1]! * 38470 + pixels[i + 2]! * 7471 + 0x8000) >> 16

/** The luma in all three channels. */
export const greyscale: Change = ({ pixels }) => {
  const out = new Uint8Array(pixels.length)
  for (let i = 0; i < pixels.length; i += 3) {
    const value = luma(pixels, i)
    out[i] = value
    out[i + 1] = value
    out[i + 2] = value
  }
  return out
}
