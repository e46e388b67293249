/**
 * What every image draws independently of its class: palette, noise, light, exposure and camera. All classes share these
 * distributions: classes differ only in structure.
 */
import type { Draws } from '../random/draws.ts'
import { gradientNoise, type Noise } from './noise.ts'
import { drawPalette, type Palette, type Pixel } from './palette.ts'
import { between, scaleBetween } from './range.ts'

export interface Setting {
  /** Sampled points per side: twice the image's side. */
  readonly side: number
  readonly palette: Palette
  readonly noise: Noise
  /** Unit vector towards the light: x to the right, y down, z out of the picture. */
  readonly light: { readonly x: number; readonly y: number; readonly z: number }
  readonly film: Film
}

/** See `develop`. */
export interface Film {
  /** Target mean luminance of the exposure. */
  readonly exposure: number
  /** Logarithmic fall-off of the illumination across and down the image, and towards its corners. */
  readonly across: number
  readonly down: number
  readonly corners: number
  /** Log gain of red over blue. */
  readonly warmth: number
  /** Standard deviation of the sensor noise, in 8-bit levels. */
  readonly grain: number
}

/**
 * A scene: the linear colour of the point (x, y) of the unit square, y down, written into `pixel`. Called for every
 * point, hence plain arguments.
 */
export type Shade = (x: number, y: number, pixel: Pixel) => void

/** A class of images: draws a scene in a setting. */
export type Scene = (draws: Draws, setting: Setting) => Shade

export function drawSetting(draws: Draws, size: number): Setting {
  const azimuth = between(draws, 0, 2 * Math.PI)
  const height = between(draws, 0.5, 1.1)
  const fall = between(draws, 0, 0.9)
  const fallAngle = between(draws, 0, 2 * Math.PI)
  return {
    side: 2 * size,
    palette: drawPalette(draws),
    noise: gradientNoise(draws),
    light: {
      x: Math.cos(azimuth) * Math.cos(height),
      y: Math.sin(azimuth) * Math.cos(height),
      z: Math.sin(height),
    },
    film: {
      exposure: scaleBetween(draws, 0.16, 0.36),
      across: fall * Math.cos(fallAngle),
      down: fall * Math.sin(fallAngle),
      corners: between(draws, 0, 0.5),
      warmth: between(draws, -0.12, 0.12),
      grain: scaleBetween(draws, 0.6, 2.5),
    },
  }
}
