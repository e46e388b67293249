/**
 * Distribution of covers: one on about half of the scene, two or three others on the rest. Water, towns and woods take the
 * maxima of a noise field each; crops, grass and bare soil share the remaining parcels.
 */
import type { Draws } from '../../random/draws.ts'
import { fractalNoise, gradientNoise, type Noise } from '../noise.ts'
import { between, chance } from '../range.ts'
import { type CoverName, coverNames } from './covers.ts'
import { drawParcels } from './parcels.ts'

export interface Patches {
  /** Label of each point, row by row. */
  readonly labels: Uint8Array
  /** Parcel index of each point, whatever its cover. */
  readonly parcels: Uint32Array
}

/** Covers of a scene with shares that sum to 1, the dominant one first. */
export function drawShares(draws: Draws, dominant: CoverName): (readonly [CoverName, number])[] {
  const others = coverNames.filter((name) => name !== dominant)
  const order = draws.permutation(others.length)
  const weights = Array.from({ length: chance(draws, 0.5) ? 2 : 3 }, () => between(draws, 0.6, 1.4))
  const most = between(draws, 0.48, 0.66)
  const sum = weights.reduce((a, b) => a + b)
  return [
    [dominant, most],
    ...weights.map((weight, k) => [others[order[k]!]!, ((1 - most) * weight) / sum] as const),
  ]
}

/** Preference field of a natural cover: blobs of noise, a river, the blocks of a town. Pixels from the centre. */
function drawLiking(draws: Draws, { cover, size }: { cover: CoverName; size: number }): Noise {
  const noise = gradientNoise(draws)
  const extent = Math.min(size, 96) * between(draws, 0.3, 0.55)
  const angle = between(draws, 0, Math.PI)
  const cos = Math.cos(angle)
  const sin = Math.sin(angle)
  const [shiftX, shiftY] = [between(draws, 0, 100), between(draws, 0, 100)]
  // Rotated and shifted, so that shores do not follow the lattice of the noise.
  const blobs = fractalNoise(
    (x, y) => noise(shiftX + (cos * x + sin * y) / extent, shiftY + (cos * y - sin * x) / extent),
    { octaves: 4, gain: cover === 'town' ? 0.35 : 0.5 },
  )
  const swing = extent * between(draws, 0.3, 0.9)
  if (cover === 'water' && chance(draws, 0.4))
    return (x, y) => {
      const along = cos * x + sin * y
      const middle = swing * noise(along / (1.3 * extent), 3)
      return -Math.abs(cos * y - sin * x + middle) / extent + 0.04 * blobs(x, y)
    }
  if (cover !== 'town') return blobs
  const block = between(draws, 2.5, 4)
  const snap = (value: number) => block * Math.round(value / block)
  return (x, y) => {
    const u = snap(cos * x + sin * y)
    const v = snap(cos * y - sin * x)
    return blobs(cos * u - sin * v, sin * u + cos * v)
  }
}

const natural: readonly CoverName[] = ['water', 'town', 'conifer', 'deciduous']
const FREE = 255

/** Assigns the `wanted` free points of highest preference to a cover. */
function claim(
  labels: Uint8Array,
  { liking, label, wanted }: { liking: Float32Array; label: number; wanted: number },
): void {
  const free = new Uint32Array(labels.length)
  let count = 0
  for (let at = 0; at < labels.length; at++) if (labels[at] === FREE) free[count++] = at
  const best = free.subarray(0, count).sort((a, b) => liking[b]! - liking[a]! || a - b)
  for (const at of best.subarray(0, wanted)) labels[at] = label
}

/** Assigns each free parcel, largest first, to the cover that lacks most. */
function shareOut(
  labels: Uint8Array,
  { parcels, lacking }: { parcels: Uint32Array; lacking: Map<number, number> },
): void {
  const areas = new Map<number, number>()
  for (let at = 0; at < labels.length; at++)
    if (labels[at] === FREE) areas.set(parcels[at]!, (areas.get(parcels[at]!) ?? 0) + 1)
  const owners = new Map<number, number>()
  for (const [parcel, area] of [...areas].sort((a, b) => b[1] - a[1] || a[0] - b[0])) {
    const [label, lack] = [...lacking].reduce((most, each) => (each[1] > most[1] ? each : most))
    lacking.set(label, lack - area)
    owners.set(parcel, label)
  }
  for (let at = 0; at < labels.length; at++) if (labels[at] === FREE) labels[at] = owners.get(parcels[at]!)!
}

/** Patches of a scene of `size`² pixels, at `2 * size` points per side. */
export function drawPatches(
  draws: Draws,
  { dominant, size }: { dominant: CoverName; size: number },
): Patches {
  const side = 2 * size
  const bend = gradientNoise(draws)
  const { at: parcelAt } = drawParcels(draws, { size, noise: bend })
  const everywhere = <T extends Uint32Array | Float32Array>(out: T, value: Noise): T => {
    for (let j = 0; j < side; j++)
      for (let i = 0; i < side; i++)
        out[j * side + i] = value((i + 0.5) / 2 - size / 2, (j + 0.5) / 2 - size / 2)
    return out
  }
  const parcels = everywhere(new Uint32Array(side * side), parcelAt)
  const labels = new Uint8Array(side * side).fill(FREE)
  const shares = new Map(drawShares(draws, dominant))
  const first = natural.filter((cover) => shares.has(cover))
  for (const cover of first) {
    const liking = everywhere(new Float32Array(side * side), drawLiking(draws, { cover, size }))
    const isLast = shares.size === first.length && cover === first.at(-1)
    const wanted = isLast ? labels.length : Math.round(shares.get(cover)! * labels.length)
    claim(labels, { liking, label: coverNames.indexOf(cover), wanted })
  }
  const lacking = new Map(
    [...shares].flatMap(([cover, share]) =>
      natural.includes(cover) ? [] : [[coverNames.indexOf(cover), share * labels.length] as const],
    ),
  )
  if (lacking.size > 0) shareOut(labels, { parcels, lacking })
  return { labels, parcels }
}
