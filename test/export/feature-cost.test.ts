// What exports cost, on vectors whose neighbours are known.
import { expect, it } from 'vitest'
import { featureCost } from '../../src/export/feature-cost.ts'

/** Directions on a circle, in degrees; lengths do not count. */
const circle = (degrees: readonly number[], length = 1) =>
  Float32Array.from(
    degrees.flatMap((each) => {
      const angle = (each * Math.PI) / 180
      return [length * Math.cos(angle), length * Math.sin(angle)]
    }),
  )
const line = Array.from({ length: 22 }, (_, n) => n) // 0° … 21°

it('equal directions keep every neighbour, also in parts and of other lengths', () => {
  const right = circle(line)
  const made = circle(line, 3)
  const cost = featureCost({
    ...{ width: 2, right: [right] },
    made: [made.slice(0, 10), made.slice(10)],
  })
  expect(cost.overlap).toBe(1)
  expect(cost.leastCosine).toBeCloseTo(1, 6)
})

it('one image that moves to the other end changes the neighbours that it had and gets', () => {
  // 0° goes to 22°. Each has its ten nearest among 22 others in a row (of two equally far the one that comes first).
  const made = circle([22, ...line.slice(1)])
  const { meanCosine, leastCosine, overlap } = featureCost({ width: 2, made: [made], right: [circle(line)] })
  const cosine = Math.cos((22 * Math.PI) / 180)
  expect(leastCosine).toBeCloseTo(cosine, 6)
  expect(meanCosine).toBeCloseTo((21 + cosine) / 22, 6)
  const degrees = [line, [22, ...line.slice(1)]] as const
  const kept = line.map((n) => {
    const near = degrees.map((all) =>
      line
        .filter((m) => m !== n)
        .sort((a, b) => Math.abs(all[a]! - all[n]!) - Math.abs(all[b]! - all[n]!))
        .slice(0, 10),
    )
    return near[0]!.filter((m) => near[1]!.includes(m)).length / 10
  })
  expect(kept[0]).toBe(0) // 1° … 10° before, 12° … 21° after
  expect(kept[1]).toBe(0.9) // 0° before, 11° after
  expect(overlap).toBeCloseTo(kept.reduce((sum, x) => sum + x, 0) / 22, 12)
})

it('of twenty images or fewer nothing is said of neighbours', () => {
  const few = circle(line.slice(0, 20))
  expect(featureCost({ width: 2, made: [few], right: [few] }).overlap).toBeNull()
})
