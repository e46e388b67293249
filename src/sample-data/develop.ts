/**
 * From a scene to bytes: four points per pixel averaged in linear light, uneven illumination, automatic exposure, a
 * film shoulder, the sRGB curve (IEC 61966-2-1) and sensor noise.
 */
import type { Draws } from '../random/draws.ts'
import type { Film, Shade } from './setting.ts'

const CURVE_STEPS = 4096
/** sRGB levels, 0 … 255, of linear values 0 … 1. */
const curve = Float32Array.from({ length: CURVE_STEPS + 1 }, (_, i) => {
  const linear = i / CURVE_STEPS
  return 255 * (linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055)
})

function photograph(shade: Shade, size: number): Float32Array {
  const light = new Float32Array(3 * size * size) // [H, W, C]
  const pixel = new Float32Array(3)
  const step = 1 / (2 * size)
  for (let j = 0; j < 2 * size; j++)
    for (let i = 0; i < 2 * size; i++) {
      shade((i + 0.5) * step, (j + 0.5) * step, pixel)
      const at = 3 * ((j >> 1) * size + (i >> 1))
      light[at] = light[at]! + pixel[0]! / 4
      light[at + 1] = light[at + 1]! + pixel[1]! / 4
      light[at + 2] = light[at + 2]! + pixel[2]! / 4
    }
  return light
}

/** Applies uneven illumination and returns the remaining mean luminance. */
function illuminate(light: Float32Array, { film, size }: { film: Film; size: number }): number {
  const red = Math.exp(film.warmth / 2)
  let luminance = 0
  for (let j = 0; j < size; j++)
    for (let i = 0; i < size; i++) {
      const x = (i + 0.5) / size - 0.5
      const y = (j + 0.5) / size - 0.5
      const fall = Math.exp(film.across * x + film.down * y - 2 * film.corners * (x * x + y * y))
      const at = 3 * (j * size + i)
      light[at] = light[at]! * fall * red
      light[at + 1] = light[at + 1]! * fall
      light[at + 2] = (light[at + 2]! * fall) / red
      luminance += 0.2126 * light[at]! + 0.7152 * light[at + 1]! + 0.0722 * light[at + 2]!
    }
  return luminance / (size * size)
}

/** The image of a scene: size² pixels of interleaved 8-bit sRGB, [H, W, C]. */
export function develop(
  draws: Draws,
  { shade, film, size }: { shade: Shade; film: Film; size: number },
): Uint8Array {
  const light = photograph(shade, size)
  const mean = illuminate(light, { film, size })
  const gain = (-1.6 * film.exposure) / Math.max(mean, 1e-4)
  // Grain in luminance only, as in cameras; faint enough that its uniform distribution does not show.
  const grain = draws.fill(new Float32Array(size * size))
  const width = film.grain * Math.sqrt(12)
  const bytes = new Uint8ClampedArray(light.length)
  for (let point = 0; point < size * size; point++) {
    const noise = width * (grain[point]! - 0.5)
    for (let at = 3 * point; at < 3 * point + 3; at++)
      bytes[at] = noise + curve[Math.round(CURVE_STEPS * (1 - Math.exp(gain * light[at]!)))]!
  }
  return new Uint8Array(bytes.buffer)
}
