/**
 * Wood grain and rippled sand: lines that run one way, bent by noise and round knots. After the layered wood of Perlin,
 * "An image synthesizer" (SIGGRAPH 1985).
 */
import { glaze, ink } from './palette.ts'
import { between, chance, scaleBetween } from './range.ts'
import type { Scene } from './setting.ts'

export const wood: Scene = (draws, { palette, noise, light }) => {
  const angle = between(draws, 0, Math.PI)
  const cos = Math.cos(angle)
  const sin = Math.sin(angle)
  const rings = scaleBetween(draws, 4, 11)
  const bend = between(draws, 0.4, 1.6)
  const spread = between(draws, 0.7, 1.6)
  const late = between(draws, 0.1, 0.5)
  const fibre = between(draws, 0.05, 0.25)
  const low = between(draws, 0.1, 0.4)
  const contrast = between(draws, 0.25, 0.55)
  // Ripples are lit from the side; grain is flat.
  const relief = chance(draws, 0.4) ? between(draws, 0.2, 0.5) : 0
  const knots = Array.from({ length: draws.below(3) }, () => {
    const width = scaleBetween(draws, 0.05, 0.12)
    return {
      u: between(draws, -0.5, 0.5),
      v: between(draws, -0.5, 0.5),
      length: 1 / (width * between(draws, 1.5, 3)),
      width: 1 / width,
      strength: between(draws, 1.5, 4) * (chance(draws, 0.5) ? 1 : -1),
    }
  })
  const stain = between(draws, 0, 0.7)
  const ringTones = draws.fill(new Float32Array(64))
  const across = light.x * -sin + light.y * cos

  return (x, y, pixel) => {
    const u = cos * (x - 0.5) + sin * (y - 0.5)
    const v = cos * (y - 0.5) - sin * (x - 0.5)
    let phase = rings * v + bend * noise(spread * u, 2.5 * spread * v) + 0.15 * noise(4 * u, 9 * v)
    let dark = 0
    for (const knot of knots) {
      const du = (u - knot.u) * knot.length
      const dv = (v - knot.v) * knot.width
      const bump = Math.exp(-0.5 * (du * du + dv * dv))
      phase += knot.strength * bump
      dark += 0.25 * bump * bump
    }
    const ring = Math.floor(phase)
    const age = phase - ring
    // Early wood darkens slowly into late wood, then the next year starts sharply.
    const growth = age < 1 - late ? (age / (1 - late)) ** 1.5 : (1 - age) / late
    const hair = fibre * noise(7 * u + 9, 60 * v)
    const tone = low + contrast * (1 - growth) + 0.15 * (ringTones[ring & 63]! - 0.5) + hair - dark
    const lit = 1 + relief * across * Math.sin(2 * Math.PI * phase)
    ink(pixel, { ramp: palette.main, tone, light: lit })
    glaze(pixel, { ramp: palette.accent, tone, light: lit, cover: stain * growth })
  }
}
