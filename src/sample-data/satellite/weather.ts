/**
 * Variation between dates: sun over the hills, clouds and their shadows, atmosphere, edge of the swath. So absolute brightness is
 * unreliable, and the shape of a spectrum is not.
 */
import type { Draws } from '../../random/draws.ts'
import { fractalNoise, gradientNoise, type Noise } from '../noise.ts'
import { between, smoothStep } from '../range.ts'
import { bands, type Spectrum } from './sentinel-bands.ts'

const perBand = (value: (wavelength: number, band: number) => number): Spectrum =>
  Float64Array.from(bands, ({ wavelength }, b) => value(wavelength, b))

export interface Sun {
  /** Horizontal direction towards it, of length 1: x to the east, y to the south. */
  readonly x: number
  readonly y: number
  /** Tangent of its elevation. */
  readonly rise: number
}

const LATITUDE = (48 * Math.PI) / 180
const HOUR = (-22.5 * Math.PI) / 180 // half past ten

/** The sun over 48° N at half past ten, local time, when Sentinel-2 passes. */
export function sunOn(day: number): Sun {
  const declination = -0.4091 * Math.cos((2 * Math.PI * (day + 10)) / 365)
  const east = -Math.cos(declination) * Math.sin(HOUR)
  const south =
    Math.sin(LATITUDE) * Math.cos(declination) * Math.cos(HOUR) - Math.cos(LATITUDE) * Math.sin(declination)
  const up =
    Math.sin(LATITUDE) * Math.sin(declination) + Math.cos(LATITUDE) * Math.cos(declination) * Math.cos(HOUR)
  const flat = Math.hypot(east, south)
  return { x: east / flat, y: south / flat, rise: up / flat }
}

/** Share of direct sunlight; the rest is light of the blue sky. */
const direct = perBand((wavelength) => 1 - 0.3 * (490 / wavelength) ** 1.5)

/** Light on slopes relative to level ground: [size, size]. Only six tenths of the effect: products are partly corrected. */
export function lightOn(height: Float32Array, { size, sun }: { size: number; sun: Sun }): Float32Array {
  const light = new Float32Array(size * size)
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      const [left, right] = [Math.max(0, x - 1), Math.min(size - 1, x + 1)]
      const [above, below] = [Math.max(0, y - 1), Math.min(size - 1, y + 1)]
      const slopeX = (height[y * size + right]! - height[y * size + left]!) / (right - left)
      const slopeY = (height[below * size + x]! - height[above * size + x]!) / (below - above)
      const lit = 1 - (0.6 * (slopeX * sun.x + slopeY * sun.y)) / sun.rise
      light[y * size + x] = Math.min(1.7, Math.max(0.4, lit))
    }
  return light
}

/** Reflectance in a band under `light` relative to level ground. */
export const shaded = (reflectance: number, light: number, band: number): number =>
  reflectance * (1 + (light - 1) * direct[band]!)

const cloudSpectrum = perBand((wavelength) => (wavelength > 2000 ? 0.34 : wavelength > 1500 ? 0.44 : 0.58))

export interface Clouds {
  /** 0 clear to 1 opaque, at (x, y) in pixels. */
  readonly opacity: Noise
  /** Transmission of sunlight to (x, y). */
  readonly shadow: Noise
  readonly spectrum: Spectrum
}

/** Clouds over about `share` of a scene. Much lower than real ones, whose shadows would fall outside such a small scene. */
export function drawClouds(
  draws: Draws,
  { size, share, sun }: { size: number; share: number; sun: Sun },
): Clouds {
  const noise = gradientNoise(draws)
  const extent = between(draws, 9, 18)
  const field = fractalNoise((x, y) => noise(x / extent, y / extent), { octaves: 4, gain: 0.5 })
  const values = Float32Array.from({ length: size * size }, (_, at) =>
    field(at % size, Math.floor(at / size)),
  )
  const edge = values.sort()[Math.floor((1 - share) * (values.length - 1))]!
  const opacity: Noise = (x, y) => smoothStep(edge - 0.1, edge + 0.25, field(x, y))
  const distance = between(draws, 4, 8) / sun.rise
  const bright = between(draws, 0.8, 1.15)
  return {
    opacity,
    shadow: (x, y) => 1 - 0.65 * opacity(x + distance * sun.x, y + distance * sun.y),
    spectrum: cloudSpectrum.map((value) => bright * value),
  }
}

export interface Air {
  readonly gain: Spectrum
  readonly haze: Spectrum
}

/** Residuals of the atmospheric correction: a gain with a slope over the spectrum, and blue haze. */
export function drawAir(draws: Draws): Air {
  const gain = 0.2 * draws.normal()
  const lean = 0.07 * draws.normal()
  const haze = 0.045 * draws.uniform() ** 2 - 0.004
  return {
    gain: perBand((wavelength) => Math.exp(gain + lean * Math.log(wavelength / 900) + 0.01 * draws.normal())),
    haze: perBand((wavelength) => haze * (490 / wavelength) ** 1.6),
  }
}

/** Points within the swath, whose edge is tilted by about 13°; about `missing` of the scene is outside. */
export function drawSwath(
  draws: Draws,
  { size, missing }: { size: number; missing: number },
): (x: number, y: number) => boolean {
  const angle = between(draws, 0.17, 0.29)
  const side = draws.uniform() < 0.5 ? 1 : -1
  if (missing === 0) return () => true
  const reach = size * (0.5 - missing)
  return (x, y) => side * (Math.cos(angle) * (x - size / 2) + Math.sin(angle) * (y - size / 2)) < reach
}
