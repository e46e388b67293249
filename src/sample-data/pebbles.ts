/**
 * Pebbles, cobbles and cracked earth: the cells nearest to scattered points, domed and lit. Cellular basis functions of
 * Worley, "A cellular texture basis function" (SIGGRAPH 1996).
 */
import { ink } from './palette.ts'
import { between, chance, scaleBetween, smoothStep } from './range.ts'
import type { Scene } from './setting.ts'

const TABLE = 1024

export const pebbles: Scene = (draws, { palette, noise, light }) => {
  const angle = between(draws, 0, Math.PI)
  const cos = Math.cos(angle)
  const sin = Math.sin(angle)
  const cells = scaleBetween(draws, 3.5, 9)
  const stretch = between(draws, 1, 1.9)
  const disorder = between(draws, 0.6, 0.95)
  const wobble = between(draws, 0, 0.35)
  const gap = scaleBetween(draws, 0.04, 0.2)
  const dome = chance(draws, 0.75) ? between(draws, 0.6, 1.25) : between(draws, 0, 0.2)
  const toneLow = between(draws, 0.1, 0.4)
  const toneRange = between(draws, 0.3, 0.6)
  const gapTone = chance(draws, 0.75) ? 0.05 : 0.95
  const mixed = chance(draws, 0.5) ? 0.3 : 0
  const texture = between(draws, 0.05, 0.2)
  const table = draws.fill(new Float32Array(4 * TABLE))
  const shiftX = between(draws, 0, 100)
  const shiftY = between(draws, 0, 100)
  const lightU = cos * light.x + sin * light.y
  const lightV = cos * light.y - sin * light.x

  return (x, y, pixel) => {
    const rough = noise(3 * cells * x, 3 * cells * y)
    const u = (cells * (cos * x + sin * y)) / stretch + shiftX + 0.15 * wobble * rough
    const v = cells * (cos * y - sin * x) + shiftY + wobble * noise(1.5 * cells * x + 50, 1.5 * cells * y)
    const column = Math.floor(u)
    const row = Math.floor(v)
    let nearest = 9
    let second = 9
    let cell = 0
    let du = 0
    let dv = 0
    for (let j = row - 1; j <= row + 1; j++)
      for (let i = column - 1; i <= column + 1; i++) {
        const entry = (i * 57 + j * 131) & (TABLE - 1)
        const px = u - (i + 0.5 + disorder * (table[4 * entry]! - 0.5))
        const py = v - (j + 0.5 + disorder * (table[4 * entry + 1]! - 0.5))
        const distance = px * px + py * py
        if (distance < nearest) {
          second = nearest
          nearest = distance
          cell = entry
          du = px
          dv = py
        } else if (distance < second) second = distance
      }
    const edge = Math.sqrt(second) - Math.sqrt(nearest)
    const inside = smoothStep(0.4 * gap, 1.4 * gap, edge)
    const slopeU = Math.min(0.9, Math.max(-0.9, dome * du))
    const slopeV = Math.min(0.9, Math.max(-0.9, dome * dv))
    const up = Math.sqrt(Math.max(0.05, 1 - slopeU * slopeU - slopeV * slopeV))
    const lit = 0.3 + 0.9 * Math.max(0, slopeU * lightU + slopeV * lightV + up * light.z)
    const own = toneLow + toneRange * table[4 * cell + 2]! + texture * rough
    ink(pixel, {
      ramp: table[4 * cell + 3]! < mixed ? palette.accent : palette.main,
      tone: gapTone + (own - gapTone) * inside,
      light: lit * (0.45 + 0.55 * inside),
    })
  }
}
