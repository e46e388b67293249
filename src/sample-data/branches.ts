/**
 * Trees, twigs and veins before a soft sky: a branch forks into thinner ones, whose widths keep the sum of their powers
 * (Leonardo's rule; Minamino & Tateno, PLoS ONE 2014). Some bear leaves or blossom.
 */
import type { Draws } from '../random/draws.ts'
import { ink } from './palette.ts'
import { between, chance } from './range.ts'
import type { Scene } from './setting.ts'

/** A straight, tapering piece of branch; a leaf has length 0. */
interface Limb {
  readonly x: number
  readonly y: number
  /** Unit direction and length. */
  readonly ux: number
  readonly uy: number
  readonly length: number
  readonly thick: number
  readonly thin: number
  readonly leaf: boolean
  readonly tone: number
}

interface Habit {
  readonly forks: number
  readonly spread: number
  readonly wiggle: number
  readonly shrink: number
  readonly pieces: number
  readonly leafSize: number
  readonly leaves: number
}

interface Shoot {
  readonly x: number
  readonly y: number
  readonly angle: number
  readonly length: number
  readonly thick: number
  readonly generation: number
}

const THINNEST = 0.005

function grow(draws: Draws, { shoot, habit, limbs }: { shoot: Shoot; habit: Habit; limbs: Limb[] }): void {
  let { x, y, angle, thick } = shoot
  if (Math.max(Math.abs(x - 0.5), Math.abs(y - 0.5)) > 0.5 + 2 * shoot.length) return
  const length = shoot.length / habit.pieces
  const thinTip = Math.max(THINNEST, shoot.thick * 0.72)
  const taper = (thinTip / shoot.thick) ** (1 / habit.pieces)
  const fork = ({ turn, width, scale }: { turn: number; width: number; scale: number }) => {
    if (shoot.generation <= 0) return
    const next = {
      x,
      y,
      angle: angle + turn,
      thick: Math.max(THINNEST, width),
      length: shoot.length * habit.shrink * scale * between(draws, 0.75, 1.2),
      generation: shoot.generation - 1,
    }
    grow(draws, { shoot: next, habit, limbs })
  }
  for (let piece = 0; piece < habit.pieces; piece++) {
    const thin = Math.max(THINNEST, thick * taper)
    const ux = Math.cos(angle)
    const uy = Math.sin(angle)
    limbs.push({ x, y, ux, uy, length, thick, thin, leaf: false, tone: draws.uniform() })
    x += ux * length
    y += uy * length
    thick = thin
    angle += habit.wiggle * draws.normal()
    if (piece < habit.pieces - 1 && chance(draws, 0.35)) {
      const side = chance(draws, 0.5) ? 1 : -1
      fork({ turn: side * habit.spread * between(draws, 1, 1.6), width: 0.6 * thick, scale: 0.75 })
    }
  }
  for (let k = 0; k < habit.forks; k++) {
    const turn = habit.spread * (k - (habit.forks - 1) / 2) * 2 * between(draws, 0.6, 1.3)
    const width = thick * habit.forks ** -0.45 * between(draws, 0.85, 1.1)
    fork({ turn, width, scale: 1 })
  }
  if (habit.leaves > 0 && shoot.generation <= 1)
    for (let k = 0; k < habit.leaves; k++) {
      const size = habit.leafSize * between(draws, 0.6, 1.3)
      limbs.push({
        x: x + 1.6 * habit.leafSize * draws.normal(),
        y: y + 1.6 * habit.leafSize * draws.normal(),
        ux: 1,
        uy: 0,
        length: 0,
        thick: size,
        thin: size,
        leaf: true,
        tone: draws.uniform(),
      })
    }
}

const SKY = 0xffff

/** The visible limb at each point: leaves in front, then thick limbs before thin ones, so that joints close. */
function raster(limbs: readonly Limb[], side: number): Uint16Array {
  const owner = new Uint16Array(side * side).fill(SKY)
  for (let number = 0; number < limbs.length; number++) {
    const { x, y, ux, uy, length, thick, thin } = limbs[number]!
    const endX = x + ux * length
    const endY = y + uy * length
    const first = Math.max(0, Math.floor((Math.min(y, endY) - thick) * side))
    const last = Math.min(side - 1, Math.ceil((Math.max(y, endY) + thick) * side))
    const from = Math.max(0, Math.floor((Math.min(x, endX) - thick) * side))
    const to = Math.min(side - 1, Math.ceil((Math.max(x, endX) + thick) * side))
    for (let j = first; j <= last; j++)
      for (let i = from; i <= to; i++) {
        const dx = (i + 0.5) / side - x
        const dy = (j + 0.5) / side - y
        const along = Math.min(length, Math.max(0, dx * ux + dy * uy))
        const radius = length > 0 ? thick + ((thin - thick) * along) / length : thick
        const px = dx - along * ux
        const py = dy - along * uy
        if (px * px + py * py < radius * radius) owner[j * side + i] = number
      }
  }
  return owner
}

export const branches: Scene = (draws, { side, palette, noise, light }) => {
  const habit: Habit = {
    forks: chance(draws, 0.7) ? 2 : 3,
    spread: between(draws, 0.25, 0.6),
    wiggle: between(draws, 0.03, 0.25),
    shrink: between(draws, 0.68, 0.82),
    pieces: 3,
    leafSize: between(draws, 0.012, 0.03),
    leaves: chance(draws, 0.4) ? 1 + draws.below(3) : 0,
  }
  // Most trees grow up from the ground, the rest reach in from any edge.
  const upright = chance(draws, 0.55)
  const angle = upright ? -Math.PI / 2 + 0.3 * draws.normal() : between(draws, 0, 2 * Math.PI)
  const limbs: Limb[] = []
  const stems = chance(draws, 0.3) ? 2 : 1
  for (let stem = 0; stem < stems; stem++) {
    const aside = between(draws, -0.35, 0.35)
    const shoot = {
      x: 0.5 - 0.6 * Math.cos(angle) - aside * Math.sin(angle),
      y: 0.5 - 0.6 * Math.sin(angle) + aside * Math.cos(angle),
      angle: angle + between(draws, -0.2, 0.2),
      length: between(draws, 0.3, 0.42),
      thick: between(draws, 0.025, 0.06) / stems ** 0.5,
      generation: habit.forks === 2 ? 5 : 3,
    }
    grow(draws, { shoot, habit, limbs })
  }
  const order = limbs.sort((a, b) => (a.leaf !== b.leaf ? (a.leaf ? 1 : -1) : a.thick - b.thick))
  const owner = raster(order, side)

  const skyTone = between(draws, 0.1, 0.9)
  const skySlope = between(draws, 0.1, 0.5)
  const skyAngle = between(draws, 0, 2 * Math.PI)
  const haze = between(draws, 0, 0.25)
  const barkTone = skyTone > 0.5 ? between(draws, 0, 0.18) : between(draws, 0.72, 1)
  const leafTone = between(draws, 0.2, 0.8)
  const barkAccent = chance(draws, 0.5)
  const roundness = between(draws, 0.15, 0.6)

  return (x, y, pixel) => {
    const i = Math.min(side - 1, Math.floor(x * side))
    const j = Math.min(side - 1, Math.floor(y * side))
    const limb = order[owner[j * side + i]!]
    if (!limb) {
      const along = Math.cos(skyAngle) * (x - 0.5) + Math.sin(skyAngle) * (y - 0.5)
      const soft = haze * (noise(2.4 * x, 2.4 * y) + 0.5 * noise(5 * x + 20, 5 * y))
      ink(pixel, { ramp: palette.main, tone: skyTone + skySlope * along + soft, light: 1 })
      return
    }
    const dx = x - limb.x
    const dy = y - limb.y
    if (limb.leaf) {
      const lit = 1 + (roundness * (dx * light.x + dy * light.y)) / limb.thick
      ink(pixel, { ramp: palette.accent, tone: leafTone + 0.3 * (limb.tone - 0.5), light: lit })
      return
    }
    const across = (dy * limb.ux - dx * limb.uy) / limb.thick
    const lit = 1 + roundness * across * (light.y * limb.ux - light.x * limb.uy)
    const bark = 0.08 * noise(30 * x, 30 * y) + 0.06 * (limb.tone - 0.5)
    ink(pixel, {
      ramp: barkAccent ? palette.accent : palette.main,
      tone: barkTone + bark,
      light: Math.max(0.2, lit),
    })
  }
}
