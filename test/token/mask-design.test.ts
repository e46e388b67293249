import { describe, expect, it } from 'vitest'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { layoutTokens } from '../../src/token/layout.ts'
import { maskNoise, planFromNoise } from '../../src/token/mask.ts'
import {
  absentLast,
  designedNoise,
  keptTokens,
  type MaskDesign,
  presentTokens,
  randomMask,
  type Sharing,
} from '../../src/token/mask-design.ts'
import { numbers } from '../tolerance.ts'
import { addresses, maskConformance } from './mask-conformance.ts'

const L = 20
const layout = { grid: { h: 4, w: 5 }, frames: 2, groups: 3 }
const ratio = 0.72 // 28 % of 120 tokens, of 60, of 40, of 20 is 33.6, 16.8, 11.2, 5.6

interface Design {
  readonly groups: Sharing
  readonly frames: Sharing
  readonly perFrame: boolean
  readonly kept: number
}
const [independent, consistent] = ['independent', 'consistent'] as const
const designs: Design[] = [
  { groups: independent, frames: independent, perFrame: false, kept: 33 },
  { groups: independent, frames: independent, perFrame: true, kept: 2 * 16 },
  { groups: independent, frames: consistent, perFrame: false, kept: 2 * 16 },
  { groups: independent, frames: consistent, perFrame: true, kept: 2 * 16 },
  { groups: consistent, frames: independent, perFrame: false, kept: 3 * 11 },
  { groups: consistent, frames: independent, perFrame: true, kept: 3 * 2 * 5 },
  { groups: consistent, frames: consistent, perFrame: false, kept: 3 * 2 * 5 },
  { groups: consistent, frames: consistent, perFrame: true, kept: 3 * 2 * 5 },
]
const nameOf = ({ groups, frames, perFrame }: Design) =>
  `${groups} groups, ${frames} frames${perFrame ? ', per frame' : ''}`
const batch = addresses([0, 4], [0, 9], [2, 4])

/** The locations that row b keeps, of each (group, frame), ascending. */
const byGroupAndFrame = (kept: readonly number[], { groups, frames } = layout): number[][][] =>
  Array.from({ length: groups }, (_, g) =>
    Array.from({ length: frames }, (_, t) =>
      kept
        .filter((n) => Math.floor(n / L) === g * frames + t)
        .map((n) => n % L)
        .sort((a, b) => a - b),
    ),
  )
const rows = (values: readonly number[], B: number) =>
  Array.from({ length: B }, (_, b) => values.slice((b * values.length) / B, ((b + 1) * values.length) / B))

describe.each(designs)('$groups groups, $frames frames, per frame: $perFrame', (each) => {
  const design: MaskDesign = { ...each, ratio }
  const planOf = (seed: number, samples = batch) =>
    planFromNoise(designedNoise(layout, design, seed, samples), keptTokens(layout, design))

  maskConformance(nameOf(each), { tokens: 120, kept: each.kept, plan: planOf })

  it('shares places as it says', () =>
    scope(() => {
      for (const kept of rows(numbers(planOf(1).kept), 3)) {
        const places = byGroupAndFrame(kept)
        const groups = new Set(places.map((ofGroup) => JSON.stringify(ofGroup)))
        const frames = new Set([0, 1].map((t) => JSON.stringify(places.map((ofGroup) => ofGroup[t]))))
        expect(groups.size).toBe(each.groups === consistent ? 1 : 3)
        expect(frames.size).toBe(each.frames === consistent ? 1 : 2)
        const ofFrame = [0, 1].map((t) => places.flatMap((ofGroup) => ofGroup[t]!).length)
        // Consistent frames hide as much as each other whether it is asked for or not.
        if (each.perFrame || each.frames === consistent)
          expect(ofFrame).toEqual([each.kept / 2, each.kept / 2])
      }
    }))

  it('keeps no token without data while others remain', () =>
    scope(() => {
      const noise = designedNoise(layout, design, 1, batch)
      // Row 0 lacks locations 0–6 of frame 0, row 1 all of frame 1, row 2 all but two locations of frame 1.
      const has = [
        (t: number, l: number) => t === 1 || l > 6,
        (t: number) => t === 0,
        (t: number, l: number) => t === 1 && l < 2,
      ]
      const there = has.map((test) =>
        Array.from({ length: 120 }, (_, n) => test(Math.floor(n / L) % 2, n % L)),
      )
      const present = tensor(there.flat().map(Number), [3, 120])
      const kept = rows(numbers(planFromNoise(absentLast(noise, present), each.kept).kept), 3)
      for (const [b, own] of kept.entries()) {
        expect(new Set(own).size).toBe(each.kept)
        const count = there[b]!.filter(Boolean).length
        expect(own.filter((n) => there[b]![n]).length).toBe(Math.min(count, each.kept))
      }
      // Tokens with data keep the order of their noise.
      const all = rows(numbers(noise), 3)
      for (const [b, own] of kept.entries()) {
        const values = own.filter((n) => there[b]![n]).map((n) => all[b]![n]!)
        expect(values).toEqual([...values].sort((x, y) => x - y))
      }
    }))
})

describe('a frame that is missing', () => {
  const three = { ...layout, frames: 3 }
  const missing = 1
  const places = (each: Design) =>
    scope(() => {
      const design = { ...each, ratio }
      const noise = designedNoise(three, design, 3, batch)
      const present = Array.from({ length: 180 }, (_, n) => Number(Math.floor(n / L) % 3 !== missing))
      const there = tensor([present, present, present].flat(), [3, 180])
      const plan = planFromNoise(absentLast(noise, there), keptTokens(three, design))
      return rows(numbers(plan.kept), 3).map((kept) => byGroupAndFrame(kept, three))
    })

  it.each(designs.filter(({ perFrame, frames }) => perFrame || frames === consistent))(
    'leaves its share to the others, evenly: $groups groups, $frames frames',
    (each) => {
      for (const row of places(each)) {
        const counts = [0, 1, 2].map((t) => row.flatMap((ofGroup) => ofGroup[t]!).length)
        expect(counts[missing]).toBe(0)
        // Shared groups move together, so that a frame may have one more of all of them.
        expect(Math.abs(counts[0]! - counts[2]!)).toBeLessThanOrEqual(each.groups === consistent ? 3 : 1)
      }
    },
  )

  it.each(designs.filter(({ groups }) => groups === consistent))(
    'parts no groups that share their places: $frames frames, per frame: $perFrame',
    (each) => {
      for (const row of places(each)) for (const ofGroup of row) expect(ofGroup).toEqual(row[0])
    },
  )
})

describe('designedNoise', () => {
  it.each(designs)('of one frame of one group is the plain noise: $groups, $frames, $perFrame', (each) =>
    scope(() => {
      const plain = { ...layout, frames: 1, groups: 1 }
      expect(numbers(designedNoise(plain, { ...each, ratio }, 5, batch))).toEqual(
        numbers(maskNoise(L, 5, batch)),
      )
    }),
  )

  it('of independent groups and frames is the plain noise over all tokens', () =>
    scope(() => {
      expect(numbers(designedNoise(layout, randomMask(ratio), 5, batch))).toEqual(
        numbers(maskNoise(120, 5, batch)),
      )
    }))

  it.each([
    { groups: consistent, frames: independent, perFrame: true, T: 1 },
    { groups: independent, frames: consistent, perFrame: false, T: 2 },
    { groups: consistent, frames: consistent, perFrame: false, T: 2 },
  ])('parts copies by nothing, where numbers are drawn twice, too: $groups, $frames', ({ T, ...each }) =>
    scope(() => {
      const large = { grid: { h: 128, w: 128 }, frames: T, groups: 2 }
      const places = each.groups === consistent ? 16384 : 2 * 16384
      const drawn = numbers(maskNoise(places, 1, addresses([0, 0])))
      expect(new Set(drawn).size).toBeLessThan(places) // there are equal ones
      const noise = numbers(designedNoise(large, { ...each, ratio }, 1, addresses([0, 0])))
      const counts = new Map<number, number>()
      // Ranks; behind the point they say the frame.
      for (const value of noise.map(Math.floor)) counts.set(value, (counts.get(value) ?? 0) + 1)
      expect(counts.size).toBe(places)
      expect(new Set(counts.values())).toEqual(new Set([noise.length / places])) // each once for every copy
    }),
  )

  it('leaks no tensors', () => {
    const before = liveTensors()
    for (const each of designs) scope(() => numbers(designedNoise(layout, { ...each, ratio }, 1, batch)))
    expect(liveTensors()).toBe(before)
  })
})

it('keptTokens refuses to show or hide all, and counts what shares a mask once', () => {
  const design = { ...designs[6]!, ratio: 0.96 } // a share of 20 places is less than one
  expect(() => keptTokens(layout, design)).toThrow(/mask.ratio 0.96 of 20 patches keeps 0/)
  expect(keptTokens(layout, { ...designs[0]!, ratio: 0.96 })).toBe(4) // of 120 tokens
  expect(layoutTokens(layout)).toBe(120)
})

it('absentLast by hand', () =>
  scope(() => {
    const noise = tensor([0.5, 0.25, 0.75, 0, 0.5, 0.25, 0.75, 0], [2, 4])
    const present = tensor([1, 0, 1, 0, 1, 1, 1, 1], [2, 4])
    const behind = numbers(absentLast(noise, present))
    expect([behind[0], behind[2]]).toEqual([0.5, 0.75])
    expect(Math.min(behind[1]!, behind[3]!)).toBeGreaterThan(1e6)
    expect(behind.slice(4)).toEqual([0.5, 0.25, 0.75, 0])
    expect(numbers(planFromNoise(absentLast(noise, present), 2).kept)).toEqual([0, 2, 3, 1])
  }))

it('presentTokens by hand: a token is there when one of its pixels is, in every group', () =>
  scope(() => {
    // Two samples of three places of two pixels.
    const valid = tensor([0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 0], [2, 3, 2])
    const present = presentTokens(valid, 2)
    expect(present.shape).toEqual([2, 6])
    expect(numbers(present)).toEqual([0, 1, 1, 0, 1, 1, 0, 0, 1, 0, 0, 1])
  }))
