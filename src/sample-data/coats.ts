/**
 * Animal coats: spots, stripes, labyrinths and rosettes. The late state of a reaction–diffusion system (Turing 1952) is
 * close to noise of one wavelength pressed to two levels, so that is what is drawn: a sum of plane waves, thresholded.
 */
import { lookUp } from './noise.ts'
import { glaze, ink } from './palette.ts'
import { between, chance, scaleBetween, smoothStep } from './range.ts'
import type { Scene } from './setting.ts'

const WAVES = 20
const MARGIN = 0.25

/** Adds cos(kx·x + ky·y + phase) on the grid; each row advances by rotation, without a cosine per point. */
function addWave(
  grid: Float32Array,
  { side, kx, ky, phase }: { side: number; kx: number; ky: number; phase: number },
): void {
  const step = (1 + 2 * MARGIN) / (side - 1)
  const cos = Math.cos(kx * step)
  const sin = Math.sin(kx * step)
  for (let j = 0; j < side; j++) {
    let re = Math.cos(ky * j * step + phase)
    let im = Math.sin(ky * j * step + phase)
    for (let at = j * side; at < (j + 1) * side; at++) {
      grid[at] = grid[at]! + re
      const turned = re * cos - im * sin
      im = re * sin + im * cos
      re = turned
    }
  }
}

export const coats: Scene = (draws, { side, palette, noise, light }) => {
  const wavelength = scaleBetween(draws, 0.1, 0.24)
  const angle = between(draws, 0, Math.PI)
  // Waves in all directions make spots or a labyrinth, waves of nearly one direction make stripes.
  const order = chance(draws, 0.4) ? between(draws, 0.2, 0.55) : Math.PI / 2
  const gridSide = Math.round(0.75 * side)
  const grid = new Float32Array(gridSide * gridSide)
  for (let wave = 0; wave < WAVES; wave++) {
    const direction = angle + between(draws, -order, order)
    const k = (2 * Math.PI * between(draws, 0.88, 1.12)) / wavelength
    const phase = between(draws, 0, 2 * Math.PI)
    addWave(grid, { side: gridSide, kx: k * Math.cos(direction), ky: k * Math.sin(direction), phase })
  }
  const waves = lookUp(grid, { side: gridSide, margin: MARGIN })
  const bias = chance(draws, 0.5) ? between(draws, 0.5, 0.9) * (chance(draws, 0.5) ? 1 : -1) : 0
  const rosette = bias !== 0 && chance(draws, 0.4) ? between(draws, 0.6, 0.9) : 0
  const softness = between(draws, 0.12, 0.4)
  const bend = between(draws, 0.02, 0.12)
  const groundTone = between(draws, 0.55, 0.95)
  const markTone = between(draws, 0, 0.35)
  const inverted = chance(draws, 0.35)
  const markAccent = chance(draws, 0.5)
  const fur = between(draws, 0.03, 0.15)
  const round = between(draws, 0.2, 1.1)
  const cos = Math.cos(angle)
  const sin = Math.sin(angle)

  return (x, y, pixel) => {
    const dx = bend * noise(2.2 * x + 13, 2.2 * y)
    const dy = bend * noise(2.2 * x + 41, 2.2 * y + 7)
    // The variance of a sum of cosines is half their number.
    const level = waves(x + dx, y + dy) / Math.sqrt(WAVES / 2) - bias
    const hair = fur * noise(8 * (cos * x + sin * y), 36 * (cos * y - sin * x))
    // The coat bends away over a body: a broad shading from the light's side.
    const lit = Math.max(0.3, 1 + round * ((x - 0.5 + dx) * light.x + (y - 0.5 + dy) * light.y))
    const ground = (inverted ? markTone : groundTone) + hair
    const mark = (inverted ? groundTone : markTone) + hair
    let cover = smoothStep(-softness, softness, bias < 0 ? -level : level)
    if (rosette > 0) cover *= 1 - 0.7 * smoothStep(rosette - 0.3, rosette + 0.3, Math.abs(level))
    ink(pixel, { ramp: palette.main, tone: ground, light: lit })
    glaze(pixel, { ramp: markAccent ? palette.accent : palette.main, tone: mark, light: lit, cover })
  }
}
