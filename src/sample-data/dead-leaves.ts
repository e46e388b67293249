/**
 * Dead leaves: opaque flat shapes of power-law sizes that cover the plane; the simplest model with the edges, occlusions and
 * scale invariance of natural images (Lee, Mumford & Huang, IJCV 2001). Two classes: round leaves and straight-edged shards.
 * Painted from the top down, which samples the model exactly.
 */
import type { Draws } from '../random/draws.ts'
import { ink } from './palette.ts'
import { between, chance, scaleBetween } from './range.ts'
import type { Scene, Setting, Shade } from './setting.ts'

interface Leaf {
  readonly x: number
  readonly y: number
  /** Half the largest extent. */
  readonly reach: number
  /** Half-planes n·p ≤ d about the centre; none for a disc. */
  readonly sides: readonly { readonly nx: number; readonly ny: number; readonly d: number }[]
}

interface Style {
  readonly tone: number
  readonly accent: boolean
  /** The change of tone from the centre to the edge. */
  readonly slopeX: number
  readonly slopeY: number
  /** Stripes: phase per unit length, and their strength. */
  readonly waveX: number
  readonly waveY: number
  readonly wave: number
}

/** Radii of density r⁻³ between the bounds: as much area falls at every scale. */
function powerLaw(draws: Draws, { low, high }: { low: number; high: number }): number {
  return (low ** -2 + (high ** -2 - low ** -2) * draws.uniform()) ** -0.5
}

const STYLES = 256

/** The styles that leaves cycle through; drawn first, since the number of leaves depends on the image's size. */
function drawStyles(draws: Draws): Style[] {
  const striped = chance(draws, 0.3) ? 0.4 : 0
  return Array.from({ length: STYLES }, () => {
    const slope = between(draws, 0, 0.3)
    const angle = between(draws, 0, 2 * Math.PI)
    const waveAngle = between(draws, 0, 2 * Math.PI)
    const frequency = 2 * Math.PI * scaleBetween(draws, 6, 14)
    return {
      tone: draws.uniform(),
      accent: chance(draws, 0.35),
      slopeX: slope * Math.cos(angle),
      slopeY: slope * Math.sin(angle),
      waveX: frequency * Math.cos(waveAngle),
      waveY: frequency * Math.sin(waveAngle),
      wave: chance(draws, striped) ? between(draws, 0.08, 0.2) : 0,
    }
  })
}

/** The interval of x − leaf.x that the leaf covers at height `dy` from its centre, if any. */
function span({ reach, sides }: Leaf, dy: number): [number, number] | undefined {
  if (sides.length === 0) {
    const half = Math.sqrt(Math.max(0, reach * reach - dy * dy))
    return [-half, half]
  }
  let low = -reach
  let high = reach
  for (const { nx, ny, d } of sides) {
    const room = d - ny * dy
    if (Math.abs(nx) < 1e-6) {
      if (room < 0) return undefined
    } else if (nx > 0) high = Math.min(high, room / nx)
    else low = Math.max(low, room / nx)
  }
  return low < high ? [low, high] : undefined
}

const NOBODY = 0xffff
const MOST_LEAVES = 20_000

interface Pile {
  readonly leaves: readonly Leaf[]
  /** Index of the visible leaf at each point. */
  readonly owner: Uint16Array
}

/** Places leaves from the top down until every point is covered. */
function pile(side: number, nextLeaf: () => Leaf): Pile {
  const owner = new Uint16Array(side * side).fill(NOBODY)
  const leaves: Leaf[] = []
  let bare = owner.length
  for (let fallen = 0; bare > 0 && fallen < MOST_LEAVES; fallen++) {
    const leaf = nextLeaf()
    if (Math.max(Math.abs(leaf.x - 0.5), Math.abs(leaf.y - 0.5)) > 0.5 + leaf.reach) continue
    const number = leaves.push(leaf) - 1
    const first = Math.max(0, Math.ceil((leaf.y - leaf.reach) * side - 0.5))
    const last = Math.min(side - 1, Math.floor((leaf.y + leaf.reach) * side - 0.5))
    for (let j = first; j <= last; j++) {
      const covered = span(leaf, (j + 0.5) / side - leaf.y)
      if (!covered) continue
      const from = Math.max(0, Math.ceil((leaf.x + covered[0]) * side - 0.5))
      const to = Math.min(side - 1, Math.floor((leaf.x + covered[1]) * side - 0.5))
      for (let at = j * side + from; at <= j * side + to; at++)
        if (owner[at] === NOBODY) {
          owner[at] = number
          bare--
        }
    }
  }
  return { leaves, owner }
}

/** `nextLeaf` draws the leaf below those already placed. */
function shadePile(draws: Draws, { setting, nextLeaf }: { setting: Setting; nextLeaf: () => Leaf }): Shade {
  const { side, palette, light, noise } = setting
  const shadow = between(draws, 0.2, 0.6)
  const texture = between(draws, 0, 0.1)
  const styles = drawStyles(draws)
  const { leaves, owner } = pile(side, nextLeaf)
  const ownerAt = (x: number, y: number): number => {
    const i = Math.min(side - 1, Math.max(0, Math.floor(x * side)))
    const j = Math.min(side - 1, Math.max(0, Math.floor(y * side)))
    return owner[j * side + i]!
  }
  return (x, y, pixel) => {
    const number = ownerAt(x, y)
    const leaf = leaves[number] ?? leaves[0]!
    const style = styles[number % STYLES]!
    const dx = x - leaf.x
    const dy = y - leaf.y
    let tone = style.tone + (style.slopeX * dx + style.slopeY * dy) / leaf.reach
    if (style.wave > 0) tone += style.wave * Math.sin(style.waveX * dx + style.waveY * dy)
    tone += texture * noise(24 * x + 7.7 * number, 24 * y)
    // Leaves above, on the side of the light, throw a shadow; two steps make its edge soft.
    let lit = 1
    for (let step = 1; step <= 2; step++) {
      const reach = 0.012 * step
      if (ownerAt(x + reach * light.x, y + reach * light.y) < number) lit -= shadow / 2
    }
    ink(pixel, { ramp: style.accent ? palette.accent : palette.main, tone, light: lit })
  }
}

/** Round leaves. */
export const discs: Scene = (draws, setting) => {
  const low = scaleBetween(draws, 0.03, 0.08)
  const high = between(draws, 0.25, 0.5)
  const nextLeaf = () => ({
    x: between(draws, -high, 1 + high),
    y: between(draws, -high, 1 + high),
    reach: powerLaw(draws, { low, high }),
    sides: [],
  })
  return shadePile(draws, { setting, nextLeaf })
}

/** Rotated rectangles, or convex polygons of three to six sides. */
export const shards: Scene = (draws, setting) => {
  const low = scaleBetween(draws, 0.05, 0.1)
  const high = between(draws, 0.3, 0.6)
  const rectangles = chance(draws, 0.5)
  const stretch = rectangles ? between(draws, 1, 4) : 1
  // From one common direction to random ones.
  const order = chance(draws, 0.4) ? between(draws, 0.02, 0.3) : Math.PI
  const common = between(draws, 0, 2 * Math.PI)
  const nextLeaf = () => {
    const size = powerLaw(draws, { low, high })
    const angle = common + between(draws, -order, order)
    const count = rectangles ? 4 : 3 + draws.below(4)
    const sides = Array.from({ length: count }, (_, k) => {
      const turn = rectangles ? 0 : between(draws, -0.25, 0.25)
      const direction = angle + (2 * Math.PI * k) / count + turn
      const d = rectangles ? (k % 2 === 0 ? size : size / stretch) : size * between(draws, 0.5, 0.8)
      return { nx: Math.cos(direction), ny: Math.sin(direction), d }
    })
    return {
      x: between(draws, -high, 1 + high),
      y: between(draws, -high, 1 + high),
      reach: rectangles ? size * Math.hypot(1, 1 / stretch) : 1.6 * size,
      sides,
    }
  }
  return shadePile(draws, { setting, nextLeaf })
}
