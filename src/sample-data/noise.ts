/**
 * Smooth noise on the plane: gradient noise (Perlin, "Improving noise", 2002), its sum over octaves, and a sampled field for
 * functions that are too expensive to evaluate at every point.
 */
import type { Draws } from '../random/draws.ts'

/** A function of the plane, about in [−1, 1] with mean 0. */
export type Noise = (x: number, y: number) => number

const PERIOD = 256

/** Gradient noise with features of about unit size; it repeats after 256 units. */
export function gradientNoise(draws: Draws): Noise {
  const order = new Uint8Array(2 * PERIOD)
  const permutation = draws.permutation(PERIOD)
  for (let i = 0; i < 2 * PERIOD; i++) order[i] = permutation[i % PERIOD]!
  const slopes = new Float64Array(2 * PERIOD)
  for (let i = 0; i < PERIOD; i++) {
    slopes[2 * i] = Math.cos((2 * Math.PI * i) / PERIOD)
    slopes[2 * i + 1] = Math.sin((2 * Math.PI * i) / PERIOD)
  }
  return (x, y) => {
    const column = Math.floor(x)
    const row = Math.floor(y)
    const fx = x - column
    const fy = y - row
    const left = order[column & 255]!
    const right = order[(column + 1) & 255]!
    const above = row & 255
    const below = (row + 1) & 255
    const a = 2 * order[left + above]!
    const b = 2 * order[right + above]!
    const c = 2 * order[left + below]!
    const d = 2 * order[right + below]!
    const u = fx * fx * fx * (fx * (fx * 6 - 15) + 10)
    const v = fy * fy * fy * (fy * (fy * 6 - 15) + 10)
    const top = slopes[a]! * fx + slopes[a + 1]! * fy
    const topRight = slopes[b]! * (fx - 1) + slopes[b + 1]! * fy
    const bottom = slopes[c]! * fx + slopes[c + 1]! * (fy - 1)
    const bottomRight = slopes[d]! * (fx - 1) + slopes[d + 1]! * (fy - 1)
    const upper = top + u * (topRight - top)
    const lower = bottom + u * (bottomRight - bottom)
    return 1.45 * (upper + v * (lower - upper))
  }
}

/**
 * The sum of octaves, each twice as fine and `gain` times as strong as the last: a power spectrum of about
 * 1/f^(2 − 2·log2(gain)), so 1/f⁴ for a gain of one half.
 */
export function fractalNoise(noise: Noise, { octaves, gain }: { octaves: number; gain: number }): Noise {
  return (x, y) => {
    let sum = 0
    let strength = 1
    let px = x
    let py = y
    for (let octave = 0; octave < octaves; octave++) {
      sum += strength * noise(px, py)
      strength *= gain
      // Each octave is rotated by about 37°, so that the lattices do not align.
      const turned = 1.6 * px - 1.2 * py + 17.3
      py = 1.2 * px + 1.6 * py + 5.9
      px = turned
    }
    return sum
  }
}

/** Values of `value` on a grid of `side`² points over [−margin, 1 + margin]², looked up bilinearly. */
export function sampledField(value: Noise, { side, margin }: { side: number; margin: number }): Noise {
  const grid = new Float32Array(side * side)
  const step = (1 + 2 * margin) / (side - 1)
  for (let j = 0; j < side; j++)
    for (let i = 0; i < side; i++) grid[j * side + i] = value(i * step - margin, j * step - margin)
  return lookUp(grid, { side, margin })
}

/** Bilinear look-up in a grid, clamped at its edge. */
export function lookUp(grid: Float32Array, { side, margin }: { side: number; margin: number }): Noise {
  const scale = (side - 1) / (1 + 2 * margin)
  const last = side - 1.001
  return (x, y) => {
    const gx = Math.min(last, Math.max(0, (x + margin) * scale))
    const gy = Math.min(last, Math.max(0, (y + margin) * scale))
    const i = Math.floor(gx)
    const j = Math.floor(gy)
    const at = j * side + i
    const upper = grid[at]! + (gx - i) * (grid[at + 1]! - grid[at]!)
    const lower = grid[at + side]! + (gx - i) * (grid[at + side + 1]! - grid[at + side]!)
    return upper + (gy - j) * (lower - upper)
  }
}
