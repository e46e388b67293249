/** Pixels as a file has them, of 8 or 16 bits and with bands beside the colours → RGB of 8 bits. */

/** What of 16-bit values becomes 0 and 255; what lies beyond is cut. */
export type DepthRange = readonly [low: number, high: number]

export interface RawPixels {
  readonly values: Uint8Array | Uint16Array
  /** Of a pixel: 1 or 3 colours, and what there is besides. */
  readonly channels: number
  /** Whether the band behind the colours is alpha, which is laid over white; else it is left away. */
  readonly hasAlpha: boolean
}

const MOST = 65_535

export function rgbOfRaw({ values, channels, hasAlpha }: RawPixels, range: DepthRange | null): Uint8Array {
  const colours = channels < 3 ? 1 : 3
  const isWide = values instanceof Uint16Array
  // Without a range the high byte, as libvips has it.
  const byte = range ? byteBy(range) : (value: number) => (isWide ? value >> 8 : value)
  const most = isWide ? MOST : 255
  const count = values.length / channels
  const out = new Uint8Array(count * 3)
  for (let i = 0; i < count; i++) {
    const share = hasAlpha ? values[i * channels + colours]! / most : 1
    for (let c = 0; c < 3; c++) {
      const value = byte(values[i * channels + (colours === 1 ? 0 : c)]!)
      out[3 * i + c] = share === 1 ? value : Math.round(value * share + 255 * (1 - share))
    }
  }
  return out
}

function byteBy([low, high]: DepthRange): (value: number) => number {
  const scale = 255 / (high - low)
  return (value) => Math.min(255, Math.max(0, Math.round((value - low) * scale)))
}

/** Cyan, magenta, yellow and black of 8 bits, and bands behind them → RGB, in the whole-number arithmetic of Pillow's `convert("RGB")`. */
export function rgbOfInks(values: Uint8Array, channels: number): Uint8Array {
  const count = values.length / channels
  const out = new Uint8Array(count * 3)
  for (let i = 0; i < count; i++) {
    const light = 255 - values[i * channels + 3]!
    for (let c = 0; c < 3; c++) {
      const ink = values[i * channels + c]! * light + 128
      out[3 * i + c] = light - ((ink + (ink >> 8)) >> 8)
    }
  }
  return out
}
