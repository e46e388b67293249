/**
 * Clouds, smoke and marble: fractal noise bent by more noise, either as lit clouds before a sky or as a field of tones.
 * Power falls as 1/f^a, the oldest regularity of natural images (Field, JOSA A 1987).
 */
import { fractalNoise, sampledField } from './noise.ts'
import { glaze, ink } from './palette.ts'
import { between, chance, scaleBetween, smoothStep } from './range.ts'
import type { Scene } from './setting.ts'

export const clouds: Scene = (draws, { side, palette, noise, light }) => {
  const marble = chance(draws, 0.35)
  const scale = scaleBetween(draws, 1.6, 4)
  const gain = marble ? between(draws, 0.42, 0.52) : between(draws, 0.5, 0.62)
  const bend = marble ? between(draws, 0.4, 1.1) : between(draws, 0, 0.5)
  const stretch = chance(draws, 0.4) ? between(draws, 1.5, 3.5) : 1
  const angle = between(draws, 0, Math.PI)
  const cover = between(draws, -0.3, 0.25)
  const softness = between(draws, 0.25, 0.7)
  const relief = between(draws, 0.4, 1.2)
  const skyTone = between(draws, 0.1, 0.6)
  const skyAngle = between(draws, 0, 2 * Math.PI)
  const skySlope = between(draws, 0.1, 0.5)
  const cloudTone = between(draws, 0.75, 1)
  const inverted = chance(draws, 0.3)

  const cos = Math.cos(angle)
  const sin = Math.sin(angle)
  const octaves = Math.max(3, Math.min(8, Math.round(Math.log2(side / scale)) - 1))
  const billow = fractalNoise(noise, { octaves, gain })
  // Clouds have no hard edges: one value per pixel, not four.
  const density = sampledField(
    (x, y) => {
      const u = (scale * (cos * x + sin * y)) / stretch
      const v = scale * (cos * y - sin * x)
      const du = bend * noise(u + 31.7, v + 3.1)
      const dv = bend * noise(u + 71.3, v + 57.9)
      return billow(u + du, v + dv)
    },
    { side: Math.round(0.6 * side), margin: 0.1 },
  )
  const tone = (t: number) => (inverted ? 1 - t : t)

  return (x, y, pixel) => {
    const here = density(x, y)
    const towardsLight = density(x + 0.05 * light.x, y + 0.05 * light.y)
    const lit = Math.max(0.25, 1 + relief * (here - towardsLight))
    if (marble) {
      ink(pixel, { ramp: palette.main, tone: tone(0.5 + 0.65 * here), light: 1 + 0.5 * (lit - 1) })
      const vein = smoothStep(0.12, 0, Math.abs(here - cover))
      glaze(pixel, { ramp: palette.accent, tone: cloudTone, light: 1, cover: 0.7 * vein })
      return
    }
    const along = Math.cos(skyAngle) * (x - 0.5) + Math.sin(skyAngle) * (y - 0.5)
    ink(pixel, { ramp: palette.main, tone: tone(skyTone + skySlope * along), light: 1 })
    const thick = smoothStep(cover - softness, cover + softness, here)
    glaze(pixel, { ramp: palette.accent, tone: tone(cloudTone), light: lit, cover: thick })
  }
}
