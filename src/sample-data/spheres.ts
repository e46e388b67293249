/**
 * Balls on a floor, ray-traced without perspective: diffuse and specular light, soft shadows, ambient occlusion. Sphere shadow
 * and occlusion after Quilez, "Sphere functions" (2014).
 */
import type { Draws } from '../random/draws.ts'
import { ink } from './palette.ts'
import { between, chance, scaleBetween, smoothStep } from './range.ts'
import type { Scene } from './setting.ts'

/** A ball that lies on the floor z = 0 at (x, y); z up, y away from the viewer. */
interface Ball {
  readonly x: number
  readonly y: number
  readonly radius: number
  readonly tone: number
  readonly accent: boolean
  readonly gloss: number
}

function scatter(draws: Draws, { deep }: { deep: number }): Ball[] {
  const balls: Ball[] = []
  const wanted = 2 + draws.below(9)
  const largest = wanted < 5 ? 0.3 : 0.2
  const accents = between(draws, 0.2, 0.8)
  for (let attempt = 0; attempt < 8 * wanted && balls.length < wanted; attempt++) {
    const radius = scaleBetween(draws, 0.06, largest)
    const x = between(draws, -0.5, 0.5)
    const y = between(draws, -0.5, 0.5) / deep
    const accent = chance(draws, accents)
    const ball = { x, y, radius, accent, tone: between(draws, 0.1, 0.95), gloss: between(draws, 0, 0.9) }
    const free = balls.every((other) => Math.hypot(other.x - x, other.y - y) > 0.97 * (other.radius + radius))
    if (free) balls.push(ball)
  }
  return balls
}

export const spheres: Scene = (draws, { palette, noise, light }) => {
  const tilt = between(draws, 0.5, 1.2)
  const roll = between(draws, -0.3, 0.3)
  const rise = Math.sin(tilt)
  const run = Math.cos(tilt)
  const balls = scatter(draws, { deep: rise })
  const floorTone = between(draws, 0.15, 0.95)
  const floorSlope = between(draws, -0.35, 0.35)
  const floorGrain = between(draws, 0.02, 0.14)
  const floorScale = scaleBetween(draws, 2, 12)
  const ambient = between(draws, 0.18, 0.4)
  const penumbra = between(draws, 0.08, 0.35)
  const rollCos = Math.cos(roll)
  const rollSin = Math.sin(roll)
  // The light in the floor's coordinates: image-up becomes away from the viewer.
  const lz = Math.max(0.45, light.z)
  const flat = Math.sqrt(1 - lz * lz) / Math.max(1e-6, Math.hypot(light.x, light.y))
  const lx = light.x * flat
  const ly = -light.y * flat
  // Halfway between the light and the viewer, for the highlight.
  const hx = lx
  const hy = ly - run
  const hz = lz + rise
  const hLength = Math.hypot(hx, hy, hz)

  const lightOn = (x: number, y: number, z: number, self: Ball | undefined): number => {
    let open = 1
    for (const ball of balls) {
      if (ball === self) continue
      const ox = ball.x - x
      const oy = ball.y - y
      const oz = ball.radius - z
      const ahead = ox * lx + oy * ly + oz * lz
      if (ahead <= 0) continue
      const aside = Math.sqrt(Math.max(0, ox * ox + oy * oy + oz * oz - ahead * ahead))
      const soft = penumbra * ahead + 0.006
      open *= smoothStep(ball.radius - soft, ball.radius + soft, aside)
    }
    return open
  }

  return (sx, sy, pixel) => {
    const across = rollCos * (sx - 0.5) + rollSin * (sy - 0.5)
    const up = rollSin * (sx - 0.5) - rollCos * (sy - 0.5)
    let nearest = Number.NEGATIVE_INFINITY
    let hit: Ball | undefined
    let hitX = 0
    let hitUp = 0
    let hitNear = 0
    for (const ball of balls) {
      const dx = across - ball.x
      const dUp = up - (ball.y * rise + ball.radius * run)
      const left = ball.radius * ball.radius - dx * dx - dUp * dUp
      if (left <= 0) continue
      const bulge = Math.sqrt(left)
      const near = ball.radius * rise - ball.y * run + bulge
      if (near > nearest) {
        nearest = near
        hit = ball
        hitX = dx
        hitUp = dUp
        hitNear = bulge
      }
    }
    if (hit) {
      const nx = hitX / hit.radius
      const ny = (hitUp * rise - hitNear * run) / hit.radius
      const nz = (hitUp * run + hitNear * rise) / hit.radius
      const x = hit.x + nx * hit.radius
      const y = hit.y + ny * hit.radius
      const z = hit.radius + nz * hit.radius
      const direct = Math.max(0, nx * lx + ny * ly + nz * lz)
      const open = direct > 0 ? lightOn(x, y, z, hit) : 0
      const shine = Math.max(0, (nx * hx + ny * hy + nz * hz) / hLength) ** 40
      const sky = ambient * (0.55 + 0.45 * nz)
      ink(pixel, {
        ramp: hit.accent ? palette.accent : palette.main,
        tone: hit.tone,
        light: sky + (1 - ambient) * open * direct,
      })
      const flash = hit.gloss * open * shine
      for (let c = 0; c < 3; c++) pixel[c] = pixel[c]! + flash
      return
    }
    const floorY = up / rise
    let contact = 1
    for (const ball of balls) {
      const square = (across - ball.x) ** 2 + (floorY - ball.y) ** 2 + ball.radius * ball.radius
      contact *= 1 - (0.9 * (ball.radius * ball.radius * ball.radius)) / (square * Math.sqrt(square))
    }
    const grain =
      floorGrain * (noise(floorScale * across, floorScale * floorY) + 0.5 * noise(22 * across, 22 * floorY))
    ink(pixel, {
      ramp: palette.main,
      tone: floorTone + floorSlope * floorY + grain,
      light: ambient * contact + (1 - ambient) * lz * lightOn(across, floorY, 0, undefined),
    })
  }
}
