/**
 * Mountain ranges, one behind the other in haze, under a sky, some with a sun or a lake. Skylines by midpoint
 * displacement (Fournier, Fussell & Carpenter, CACM 1982).
 */
import type { Draws } from '../random/draws.ts'
import { glaze, ink } from './palette.ts'
import { between, chance, scaleBetween, smoothStep } from './range.ts'
import type { Scene } from './setting.ts'

const POINTS = 256

/** A skyline over [0, 1]: POINTS + 1 heights about 0; each halving displaces by `roughness` times the last. */
function skyline(draws: Draws, { relief, roughness }: { relief: number; roughness: number }): Float32Array {
  const heights = new Float32Array(POINTS + 1)
  heights[0] = relief * draws.normal()
  heights[POINTS] = relief * draws.normal()
  let spread = relief
  for (let step = POINTS / 2; step >= 1; step /= 2) {
    for (let at = step; at < POINTS; at += 2 * step)
      heights[at] = (heights[at - step]! + heights[at + step]!) / 2 + spread * draws.normal()
    spread *= roughness
  }
  return heights
}

function heightAt(heights: Float32Array, x: number): number {
  const at = Math.min(POINTS - 0.001, Math.max(0, x * POINTS))
  const i = Math.floor(at)
  return heights[i]! + (at - i) * (heights[i + 1]! - heights[i]!)
}

export const mountains: Scene = (draws, { palette, noise, light }) => {
  const horizon = between(draws, 0.15, 0.6)
  const roll = between(draws, -0.2, 0.2)
  const roughness = between(draws, 0.42, 0.58)
  const relief = between(draws, 0.05, 0.13)
  const count = 3 + draws.below(4)
  const layers = Array.from({ length: count }, (_, k) => ({
    heights: skyline(draws, { relief, roughness }),
    base: horizon + ((0.95 - horizon) * k) / count,
    nearness: (k + 1) / count,
  }))
  const skyTone = between(draws, 0.2, 0.9)
  const skySlope = between(draws, -0.5, 0.5)
  const hazeTone = chance(draws, 0.6) ? between(draws, 0.6, 0.95) : between(draws, 0.1, 0.4)
  // The near range contrasts with the haze.
  const nearTone = hazeTone > 0.5 ? between(draws, 0, 0.2) : between(draws, 0.65, 1)
  const nearAccent = chance(draws, 0.5)
  const slopeLight = between(draws, 0.3, 0.9)
  const grain = scaleBetween(draws, 6, 13)
  const fog = between(draws, 0, 0.6)
  const snow = chance(draws, 0.35) ? between(draws, 0.04, 0.1) : 0
  const sun = chance(draws, 0.4)
    ? { x: draws.uniform(), y: horizon * draws.uniform(), radius: between(draws, 0.04, 0.1) }
    : undefined
  const lake = chance(draws, 0.3) ? between(draws, 0.6, 0.85) : 9

  return (sx, sy, pixel) => {
    const x = sx + roll * (sy - 0.5)
    let y = sy - roll * (sx - 0.5)
    let calm = 1
    let shift = 0
    if (y > lake) {
      // The lake mirrors what is above it, flattened and distorted by ripples.
      const below = y - lake
      shift = 0.035 * noise(5 * x, 40 * below + 3) * (0.3 + 3 * below)
      y = lake - below * 1.15 + shift
      calm = 0.75
    }
    for (let k = count - 1; k >= 0; k--) {
      const layer = layers[k]!
      const depth = y - layer.base + heightAt(layer.heights, x + shift)
      if (depth < 0) continue
      // Ribs run down from the skyline: noise that is long in depth, bent, and creased where it passes zero.
      const bent = x + 0.12 * noise(4 * x + 31, 4 * y + 7 * k)
      const rib = Math.abs(noise(grain * bent + 20 * k, 0.4 * grain * depth + 9 * k))
      const scree = noise(2.3 * grain * bent + 20 * k, 1.4 * grain * depth)
      const relit =
        1 + slopeLight * (0.25 + 0.75 * layer.nearness) * (1.6 * rib * Math.sign(light.x) + 0.4 * scree)
      const tone = hazeTone + (nearTone - hazeTone) * layer.nearness
      const ramp = nearAccent ? palette.accent : palette.main
      ink(pixel, { ramp, tone, light: calm * Math.max(0.2, relit) })
      const drift = snow * Math.max(0.05, 0.4 + 3 * rib + scree) * (1.3 - layer.nearness)
      if (snow > 0)
        glaze(pixel, {
          ramp: palette.main,
          tone: 1,
          light: calm * relit,
          cover: smoothStep(drift, 0.6 * drift, depth),
        })
      const haze = fog * smoothStep(0, 0.3, depth) * (1 - 0.6 * layer.nearness)
      glaze(pixel, { ramp: palette.main, tone: hazeTone, light: calm, cover: haze })
      return
    }
    const cloud = 0.08 * noise(3 * x, 9 * y + 50)
    ink(pixel, { ramp: palette.main, tone: skyTone + skySlope * (y - 0.2) + cloud, light: calm })
    if (sun) {
      const distance = Math.hypot(x - sun.x, y - sun.y)
      const glow = 0.45 * Math.exp(-distance / (2 * sun.radius))
      const disc = smoothStep(sun.radius, sun.radius - 0.012, distance)
      glaze(pixel, { ramp: palette.accent, tone: 1, light: 1.3 * calm, cover: Math.max(glow, disc) })
    }
  }
}
