/** Changes of each value by a table, some of them made of the image's histograms, with the arithmetic of Pillow's ImageOps. */
import type { Change, Raster } from './change.ts'

/** A change of each value by itself. */
export function byTable({ pixels }: Raster, table: (value: number) => number): Uint8Array {
  const all = new Uint8Array(256)
  for (let value = 0; value < 256; value++) all[value] = table(value)
  const out = new Uint8Array(pixels.length)
  for (let i = 0; i < out.length; i++) out[i] = all[pixels[i]!]!
  return out
}

export const invert: Change = (image) => byTable(image, (value) => 255 - value)
/** Keeps the highest `bits`. */
export const posterize =
  (bits: number): Change =>
  (image) =>
    byTable(image, (value) => value & ~(2 ** (8 - bits) - 1))
/** Inverts values from the threshold on. */
export const solarise =
  (threshold: number): Change =>
  (image) =>
    byTable(image, (value) => (value < threshold ? value : 255 - value))
/** Adds to values in the dark half. */
export const solariseAdd =
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
