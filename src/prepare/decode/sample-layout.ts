/** The last step of a sample: RGB pixels into their place in a batch, mirrored or not, in colour or as luma. */

export interface SampleLayout {
  readonly width: number
  /** 3: as they are. 1: luma. */
  readonly channels: number
  readonly flip: boolean
}

/**
 * Copies `rgb` [H, W, 3] → `out` [H, W, channels]. Luma is ITU-R 601 in the whole-number arithmetic of Pillow's
 * `convert("L")`, so grey stays exactly what it was.
 */
export function storeSample<A extends Uint8Array | Float32Array>(
  rgb: A,
  out: A,
  { width, channels, flip }: SampleLayout,
): void {
  if (channels === 3 && !flip) {
    out.set(rgb)
    return
  }
  const pixels = rgb.length / 3
  for (let i = 0; i < pixels; i++) {
    const from = (flip ? i + width - 1 - 2 * (i % width) : i) * 3
    const red = rgb[from]!
    const green = rgb[from + 1]!
    const blue = rgb[from + 2]!
    if (channels === 1)
      out[i] =
        rgb instanceof Float32Array
          ? (red * 19595 + green * 38470 + blue * 7471) / 65_536
          : (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    else {
      out[i * 3] = red
      out[i * 3 + 1] = green
      out[i * 3 + 2] = blue
    }
  }
}
