/**
 * Brick and tile walls seen at an angle: a repeated course of blocks with joints, each block a little different, under
 * a rotation and a perspective.
 */
import { ink } from './palette.ts'
import { between, chance, scaleBetween, smoothStep } from './range.ts'
import type { Scene } from './setting.ts'

const TABLE = 1024

export const bricks: Scene = (draws, { palette, noise, light }) => {
  const angle = chance(draws, 0.5) ? between(draws, -0.25, 0.25) : between(draws, 0, Math.PI)
  const cos = Math.cos(angle)
  const sin = Math.sin(angle)
  const courses = scaleBetween(draws, 4, 9)
  const tilt = between(draws, 0, 0.75)
  const tiltAngle = between(draws, 0, 2 * Math.PI)
  const tiltX = tilt * Math.cos(tiltAngle)
  const tiltY = tilt * Math.sin(tiltAngle)
  // Courses shifted by a half or a third, or square tiles without a shift.
  const tiles = chance(draws, 0.35)
  const length = tiles ? between(draws, 0.9, 1.15) : between(draws, 1.7, 3)
  const bond = tiles ? 0 : chance(draws, 0.7) ? 0.5 : 1 / 3
  const chequered = tiles && chance(draws, 0.5)
  const joint = between(draws, 0.05, 0.13)
  const bevel = between(draws, 0.06, 0.2)
  const relief = between(draws, 0.2, 0.7)
  const jointTone = chance(draws, 0.5) ? between(draws, 0, 0.2) : between(draws, 0.75, 1)
  const tone = between(draws, 0.3, 0.6)
  const variety = between(draws, 0.1, 0.45)
  const mixed = chance(draws, 0.35) ? 0.3 : 0
  const texture = between(draws, 0.05, 0.2)
  const wear = between(draws, 0, 0.05)
  const table = draws.fill(new Float32Array(2 * TABLE))
  const shiftX = between(draws, 0, 100)
  const shiftY = between(draws, 0, 100)
  const lightU = cos * light.x + sin * light.y
  const lightV = cos * light.y - sin * light.x

  return (x, y, pixel) => {
    const depth = 1 / (1 + tiltX * (x - 0.5) + tiltY * (y - 0.5))
    const px = courses * (x - 0.5) * depth
    const py = courses * (y - 0.5) * depth
    const rough = noise(3 * px, 3 * py)
    const v = cos * py - sin * px + shiftY + wear * rough
    const row = Math.floor(v)
    const u = (cos * px + sin * py + shiftX + wear * rough) / length + bond * row
    const column = Math.floor(u)
    const block = (column * 57 + row * 131) & (TABLE - 1)
    // Signed distances to the block's four edges, in units of a course.
    const left = (u - column) * length
    const right = length - left
    const top = v - row
    const bottom = 1 - top
    const edge = Math.min(left, right, top, bottom)
    const inside = smoothStep(0.5 * joint, 0.5 * joint + 0.05, edge)
    let slope = 0
    if (edge < joint / 2 + bevel)
      slope = edge === left ? -lightU : edge === right ? lightU : edge === top ? -lightV : lightV
    const second = chequered && ((row + column) & 1) === 1
    const own = (second ? 1.1 - tone : tone) + variety * (table[2 * block]! - 0.5) + texture * rough
    ink(pixel, {
      ramp: second || table[2 * block + 1]! < mixed ? palette.accent : palette.main,
      tone: jointTone + (own - jointTone) * inside,
      light: (0.6 + 0.4 * inside) * (1 + relief * slope),
    })
  }
}
