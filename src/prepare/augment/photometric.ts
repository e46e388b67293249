/**
 * Changes of an image's colours, with the arithmetic of Pillow's ImageOps and ImageEnhance. Each takes pixels [H, W, 3] and gives
 * new ones.
 */
import type { Size } from '../../source/box.ts'

export interface Raster extends Size {
  /** [H, W, 3] */
  readonly pixels: Uint8Array
}

export type Change = (image: Raster) => Uint8Array

/** A change of each value by itself. */
const byTable = ({ pixels }: Raster, table: (value: number) => number): Uint8Array => {
  const all = Uint8Array.from({ length: 256 }, (_, value) => table(value))
  return pixels.map((value) => all[value]!)
}

export const invert: Change = (image) => byTable(image, (value) => 255 - value)
/** Keeps the highest `bits`. */
export const posterize =
  (bits: number): Change =>
  (image) =>
    byTable(image, (value) => value & ~(2 ** (8 - bits) - 1))
/** Inverts values from the threshold on. */
export const solarize =
  (threshold: number): Change =>
  (image) =>
    byTable(image, (value) => (value < threshold ? value : 255 - value))
/** Adds to values in the dark half. */
export const solarizeAdd =
  (amount: number): Change =>
  (image) =>
    byTable(image, (value) => (value < 128 ? Math.min(255, value + amount) : value))

function histograms(pixels: Uint8Array): Uint32Array[] {
  const counts = [0, 1, 2].map(() => new Uint32Array(256))
  for (let i = 0; i < pixels.length; i++) counts[i % 3]![pixels[i]!]!++
  return counts
}

/** A change of each channel by a table of its own, made of its histogram; null leaves the channel. */
function byChannel({ pixels }: Raster, tableOf: (counts: Uint32Array) => Uint8Array | null): Uint8Array {
  const tables = histograms(pixels).map(tableOf)
  return pixels.map((value, i) => tables[i % 3]?.[value] ?? value)
}

/** Stretches each channel to the whole range. */
export const autoContrast: Change = (image) =>
  byChannel(image, (counts) => {
    const low = counts.findIndex((count) => count > 0)
    const high = counts.findLastIndex((count) => count > 0)
    if (high <= low) return null
    const scale = 255 / (high - low)
    return Uint8Array.from(counts, (_, value) =>
      Math.min(255, Math.max(0, Math.trunc(value * scale - low * scale))),
    )
  })

/** Makes all values of a channel about equally frequent. */
export const equalize: Change = (image) =>
  byChannel(image, (counts) => {
    const present = counts.filter((count) => count > 0)
    const total = present.reduce((a, b) => a + b, 0)
    const step = Math.floor((total - (present.at(-1) ?? 0)) / 255)
    if (present.length <= 1 || step === 0) return null
    let before = Math.floor(step / 2)
    return Uint8Array.from(counts, (count) => {
      const value = Math.min(255, Math.floor(before / step))
      before += count
      return value
    })
  })

/** `plain` + factor · (pixels − plain): less of the image for a factor below 1, more of it above. */
function blend(plain: (i: number) => number, { pixels }: Raster, factor: number): Uint8Array {
  return pixels.map((value, i) => {
    const from = plain(i)
    const mixed = Math.fround(from + factor * (value - from))
    return mixed <= 0 ? 0 : mixed >= 255 ? 255 : Math.trunc(mixed)
  })
}

/** ITU-R 601 luma in Pillow's whole numbers. */
const luma = (pixels: Uint8Array, i: number) =>
  (pixels[i]! * 19595 + pixels[i + 1]! * 38470 + pixels[i + 2]! * 7471 + 0x8000) >> 16

export const brightness =
  (factor: number): Change =>
  (image) =>
    blend(() => 0, image, factor)

export const contrast =
  (factor: number): Change =>
  (image) => {
    const { pixels } = image
    let total = 0
    for (let i = 0; i < pixels.length; i += 3) total += luma(pixels, i)
    const mean = Math.trunc(total / (pixels.length / 3) + 0.5)
    return blend(() => mean, image, factor)
  }

export const colour =
  (factor: number): Change =>
  (image) =>
    blend((i) => luma(image.pixels, i - (i % 3)), image, factor)

/** Against the image smoothed by [1 1 1; 1 5 1; 1 1 1] / 13, which leaves the border. */
export const sharpness =
  (factor: number): Change =>
  (image) => {
    const { pixels, width, height } = image
    const row = width * 3
    return blend(
      (i) => {
        const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / row)]
        if (x === 0 || y === 0 || x === width - 1 || y === height - 1) return pixels[i]!
        let total = 4 * pixels[i]!
        for (const up of [-row, 0, row]) total += pixels[i + up - 3]! + pixels[i + up]! + pixels[i + up + 3]!
        return Math.trunc(total / 13 + 0.5)
      },
      image,
      factor,
    )
  }
