/** A turn of the colour circle, by way of Pillow's HSV bytes and back. A turn by nothing is therefore no identity. */
import type { Change } from './change.ts'

/** S / 255 */
const shares = Float64Array.from({ length: 256 }, (_, value) => value / 255)

/** Where a hue byte lies on the circle: one of six sectors, and how far into it. */
const sectors = Uint8Array.from({ length: 256 }, (_, hue) => Math.floor((6 * hue) / 255) % 6)
const fractions = Float64Array.from({ length: 256 }, (_, hue) => {
  const at = (6 * hue) / 255
  return at - Math.floor(at)
})

/** The hue byte of a colour whose channels differ. Quotients are float32, and so are both sums, each rounded once. */
function hueOf(red: number, green: number, blue: number, max: number, span: number): number {
  const r = Math.fround((max - red) / span)
  const g = Math.fround((max - green) / span)
  const b = Math.fround((max - blue) / span)
  const sixth = Math.fround(red === max ? b - g : green === max ? 2 + r - b : 4 + g - r) // -1 … 5
  const turn = sixth / 6 + 1
  return (255 * Math.fround(turn >= 1 ? turn - 1 : turn)) | 0
}

/** By a share of the circle, from -0.5 to 0.5. */
export const hue = (factor: number): Change => {
  const shift = Math.trunc(255 * factor)
  return ({ pixels }) => {
    const out = new Uint8Array(pixels.length)
    for (let i = 0; i < pixels.length; i += 3) {
      const red = pixels[i]!
      const green = pixels[i + 1]!
      const blue = pixels[i + 2]!
      const max = red > green ? (red > blue ? red : blue) : green > blue ? green : blue
      const min = red < green ? (red < blue ? red : blue) : green < blue ? green : blue
      const span = max - min
      const saturation = span === 0 ? 0 : (255 * Math.fround(span / max)) | 0
      if (saturation === 0) {
        out[i] = max
        out[i + 1] = max
        out[i + 2] = max
        continue
      }
      const turned = (hueOf(red, green, blue, max, span) + shift) & 255
      const sector = sectors[turned]!
      const share = shares[saturation]!
      const along = fractions[turned]!
      const low = (max * (1 - share) + 0.5) | 0
      const middle = (max * (1 - share * (sector % 2 === 0 ? 1 - along : along)) + 0.5) | 0
      // Sectors 0 … 5 run from red by way of yellow, green, cyan, blue and magenta back to red.
      out[i] = sector === 0 || sector === 5 ? max : sector === 1 || sector === 4 ? middle : low
      out[i + 1] = sector === 1 || sector === 2 ? max : sector === 0 || sector === 3 ? middle : low
      out[i + 2] = sector === 3 || sector === 4 ? max : sector === 2 || sector === 5 ? middle : low
    }
    return out
  }
}
