/**
 * Colours: every scene paints with two ramps from dark to light, drawn from the same distribution for all classes so that
 * colour does not reveal the class. Built in OKLCH (Ottosson 2020), stored in linear sRGB.
 */
import type { Draws } from '../random/draws.ts'
import { between, chance, scaleBetween } from './range.ts'

const STEPS = 256

/** Linear RGB at `STEPS` tones, dark to light. */
export type Ramp = Float32Array

export interface Palette {
  readonly main: Ramp
  /** A second ramp, of a hue that suits the first. */
  readonly accent: Ramp
}

/** Linear red, green, blue. */
export type Pixel = Float32Array

function oklabToLinear([lightness, a, b]: readonly [number, number, number], out: Pixel): void {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3
  out[0] = Math.max(0, 4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s)
  out[1] = Math.max(0, -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s)
  out[2] = Math.max(0, -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s)
}

function ramp(draws: Draws, hue: number): Ramp {
  const swing = between(draws, -1.1, 1.1)
  const chroma = scaleBetween(draws, 0.025, 0.15)
  const dark = between(draws, 0.14, 0.32)
  const light = between(draws, 0.82, 0.96)
  const tones = new Float32Array(3 * STEPS)
  for (let step = 0; step < STEPS; step++) {
    const t = step / (STEPS - 1)
    const angle = hue + swing * (t - 0.5)
    // Paint and daylight are most colourful in the middle tones.
    const radius = chroma * (0.45 + 0.55 * Math.sin(Math.PI * t))
    oklabToLinear(
      [dark + (light - dark) * t, radius * Math.cos(angle), radius * Math.sin(angle)],
      tones.subarray(3 * step, 3 * step + 3),
    )
  }
  return tones
}

export function drawPalette(draws: Draws): Palette {
  const hue = between(draws, 0, 2 * Math.PI)
  const turn = chance(draws, 0.5) ? between(draws, 0.3, 1) : between(draws, 1.8, 3.2)
  const side = chance(draws, 0.5) ? 1 : -1
  return { main: ramp(draws, hue), accent: ramp(draws, hue + side * turn) }
}

function offset(tone: number): number {
  return 3 * Math.min(STEPS - 1, Math.max(0, Math.round(tone * (STEPS - 1))))
}

/** Sets the pixel to the ramp's colour at `tone` in [0, 1], under `light` times full light. */
export function ink(pixel: Pixel, paint: { ramp: Ramp; tone: number; light: number }): void {
  const at = offset(paint.tone)
  pixel[0] = paint.light * paint.ramp[at]!
  pixel[1] = paint.light * paint.ramp[at + 1]!
  pixel[2] = paint.light * paint.ramp[at + 2]!
}

/** Lays a colour over the pixel with the given `cover` in [0, 1]. */
export function glaze(pixel: Pixel, paint: { ramp: Ramp; tone: number; light: number; cover: number }): void {
  const at = offset(paint.tone)
  for (let c = 0; c < 3; c++)
    pixel[c] = pixel[c]! + paint.cover * (paint.light * paint.ramp[at + c]! - pixel[c]!)
}
