/** Fields: a rotated, slightly bent system of strips, cut across into parcels. */
import type { Draws } from '../../random/draws.ts'
import type { Noise } from '../noise.ts'
import { between, scaleBetween } from '../range.ts'

export interface Parcels {
  /** Index of the parcel at (x, y), in pixels from the centre. */
  readonly at: (x: number, y: number) => number
  readonly count: number
}

/** The number of edges below `value`. */
function placeOf(edges: readonly number[], value: number): number {
  let low = 0
  let high = edges.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (edges[middle]! < value) low = middle + 1
    else high = middle
  }
  return low
}

/** Parcels over a scene of `size`² pixels; their number grows with the scene, up to a usual size of fields. */
export function drawParcels(draws: Draws, { size, noise }: { size: number; noise: Noise }): Parcels {
  const angle = between(draws, 0, Math.PI)
  const cos = Math.cos(angle)
  const sin = Math.sin(angle)
  const bend = between(draws, 0, 3)
  const width = Math.min(scaleBetween(draws, 5, 11), size / 5)
  const length = Math.min(width * scaleBetween(draws, 1.2, 3), size / 2.5)
  const reach = 0.75 * size + bend + 1
  const cuts = (mean: number) => {
    const edges: number[] = []
    for (let at = -reach + mean * draws.uniform(); at < reach; at += mean * between(draws, 0.6, 1.4))
      edges.push(at)
    return edges
  }
  const strips = cuts(width)
  let count = 0
  const inStrip = Array.from({ length: strips.length + 1 }, () => {
    const edges = cuts(length)
    const first = count
    count += edges.length + 1
    return { edges, first }
  })
  return {
    count,
    at: (x, y) => {
      const shift = bend * noise(0.03 * x + 7, 0.03 * y)
      const strip = inStrip[placeOf(strips, cos * y - sin * x + shift)]!
      return strip.first + placeOf(strip.edges, cos * x + sin * y + shift)
    },
  }
}
