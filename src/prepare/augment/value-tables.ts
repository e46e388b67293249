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
export const posterize = (bits: number): Change => {
  const mask = ~(2 ** (8 - bits) - 1)
  return (image) => byTable(image, (value) => value & mask)
}
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
  return [0, 1, 2].map((channel) => {
    const counts = new Uint32Array(256)
    for (let i = channel; i < pixels.length; i += 3) counts[pixels[i]!]!++
    return counts
  })
}

/** A change of each channel by a table of its own, made of its histogram; null leaves the channel. */
function byChannel({ pixels }: Raster, tableOf: (counts: Uint32Array) => Uint8Array | null): Uint8Array {
  const out = pixels.slice()
  for (const [channel, counts] of histograms(pixels).entries()) {
    const table = tableOf(counts)
    if (table) for (let i = channel; i < out.length; i += 3) out[i] = table[pixels[i]!]!
  }
  return out
}

/** Stretches each channel to the whole range. */
export const autoContrast: Change = (image) =>
  byChannel(image, (counts) => {
    const low = counts.findIndex((count) => count > 0)
    const high = counts.findLastIndex((count) => count > 0)
    if (high <= low) return null
    const scale = 255 / (high - low)
    const table = new Uint8Array(256)
    for (let value = 0; value < 256; value++)
      table[value] = Math.min(255, Math.max(0, Math.trunc(value * scale - low * scale)))
    return table
  })

/** Makes all values of a channel about equally frequent. */
export const equalize: Change = (image) =>
  byChannel(image, (counts) => {
    let [present, total, last] = [0, 0, 0]
    for (const count of counts) {
      if (count === 0) continue
      present++
      total += count
      last = count
    }
    const step = Math.floor((total - last) / 255)
    if (present <= 1 || step === 0) return null
    const table = new Uint8Array(256)
    let before = Math.floor(step / 2)
    for (let value = 0; value < 256; value++) {
      table[value] = Math.min(255, Math.floor(before / step))
      before += counts[value]!
    }
    return table
  })
