// The statistics of blocks are those that BEiT's own generators gave in 20,000 draws.
import { describe, expect, it } from 'vitest'
import { draws } from '../../src/random/draws.ts'
import { blocks } from '../../src/token/block-mask.ts'
import { addLevels } from '../../src/token/mask-kinds.ts'

const SAMPLES = 4000
type Size = readonly [h: number, w: number]

/** Pairs of hidden patches that share a side. */
function pairs(hidden: ArrayLike<number>, [h, w]: Size): number {
  let count = 0
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      if (!hidden[y * w + x]) continue
      if (x + 1 < w) count += hidden[y * w + x + 1]!
      if (y + 1 < h) count += hidden[(y + 1) * w + x]!
    }
  return count
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
const deviation = (values: readonly number[]) =>
  Math.sqrt(mean(values.map((value) => (value - mean(values)) ** 2)))
const total = (hidden: ArrayLike<number>) => mean(Array.from(hidden)) * hidden.length

const own = (size: Size, count: number, least: number, index: number) =>
  blocks({ h: size[0], w: size[1] }, count, least, draws({ seed: 1, stream: 'test', epoch: 0, index }))

interface Published {
  readonly size: Size
  readonly count: number
  readonly least: number
  readonly mean: number
  readonly exact: number
  readonly corner: number
  readonly middle: number
  readonly pairs: readonly [mean: number, deviation: number]
}
const table: Published[] = [
  {
    size: [14, 14],
    count: 75,
    least: 16,
    mean: 74.469,
    exact: 0.666,
    corner: 0.042,
    middle: 0.719,
    pairs: [125.1, 3.58],
  },
  {
    size: [8, 8],
    count: 25,
    least: 4,
    mean: 24.95,
    exact: 0.951,
    corner: 0.112,
    middle: 0.661,
    pairs: [35.33, 2.34],
  },
  {
    size: [4, 4],
    count: 6,
    least: 4,
    mean: 5.995,
    exact: 0.995,
    corner: 0.194,
    middle: 0.619,
    pairs: [6.46, 0.86],
  },
  {
    size: [8, 16],
    count: 50,
    least: 8,
    mean: 49.822,
    exact: 0.85,
    corner: 0.065,
    middle: 0.698,
    pairs: [78.88, 3.19],
  },
]

/** Within four deviations of both means: of SAMPLES here and 20,000 there. */
const near = (value: number, published: number, spread: number) =>
  expect(Math.abs(value - published)).toBeLessThan(4 * spread * Math.sqrt(1 / SAMPLES + 1 / 20_000) + 0.001)
const ofShare = (share: number) => Math.sqrt(share * (1 - share))

describe.each(table)(
  'blocks of $size, $count hidden, $least the smallest',
  ({ size, count, least, ...published }) => {
    const masks = Array.from({ length: SAMPLES }, (_, index) => own(size, count, least, index))
    const counts = masks.map(total)

    it('are as many as published', () => {
      near(mean(counts), published.mean, deviation(counts))
      near(mean(counts.map((each) => Number(each === count))), published.exact, ofShare(published.exact))
      expect(Math.max(...counts)).toBe(count)
      if (count === 75) expect(Math.min(...counts)).toBeGreaterThanOrEqual(64)
    })

    it('lie where they are published to lie, and hold together', () => {
      near(mean(masks.map((mask) => mask[0]!)), published.corner, ofShare(published.corner))
      const middle = (size[0] / 2) * size[1] + size[1] / 2
      near(mean(masks.map((mask) => mask[middle]!)), published.middle, ofShare(published.middle))
      const together = masks.map((mask) => pairs(mask, size))
      near(mean(together), published.pairs[0], published.pairs[1])
      near(deviation(together), published.pairs[1], published.pairs[1]) // its own error is smaller
    })
  },
)

it('filled up to the exact count by single patches, they are those of BEiT v2', () => {
  const size = [14, 14] as const
  const indices = Array.from({ length: SAMPLES }, (_, index) => index)
  const noise = new Float32Array(196 * SAMPLES)
  for (const index of indices)
    draws({ seed: 2, stream: 'mask', epoch: 0, index }).fill(noise.subarray(196 * index, 196 * (index + 1)))
  addLevels(
    noise,
    { kind: 'block', minBlock: 16 },
    // 0.38 hides 75 of 196: 121.52 are kept, rounded down.
    { grid: { h: 14, w: 14 }, ratio: 0.38, seed: 2, samples: { epochs: indices.map(() => 0), indices } },
  )
  const masks = indices.map((index) => {
    const row = noise.subarray(196 * index, 196 * (index + 1))
    const last = row.slice().sort()[120]!
    return Array.from(row, (value) => Number(value > last))
  })
  expect(new Set(masks.map((mask) => Math.round(total(mask))))).toEqual(new Set([75]))
  near(mean(masks.map((mask) => mask[0]!)), 0.046, ofShare(0.046))
  near(mean(masks.map((mask) => mask[7 * 14 + 7]!)), 0.72, ofShare(0.72))
  const together = masks.map((mask) => pairs(mask, size))
  near(mean(together), 125.26, 3.49)
  near(deviation(together), 3.49, 3.49)
})

describe('in a grid of one or two rows or columns', () => {
  it.each<Size>([
    [1, 32],
    [32, 1],
    [2, 16],
    [16, 2],
  ])('%d × %d, a block is a piece of the whole height', (h, w) => {
    const together = Array.from({ length: 200 }, (_, index) => own([h, w], 16, 4, index))
    for (const mask of together) expect(total(mask)).toBeLessThanOrEqual(16.001)
    expect(mean(together.map(total))).toBeGreaterThan(14)
    // Single patches of a line of 32 make 16 · 15 / (32 · 31) · 31 = 7.5 pairs, those of two lines of 16 11.1.
    expect(mean(together.map((mask) => pairs(mask, [h, w])))).toBeGreaterThan(Math.min(h, w) === 1 ? 12 : 17)
  })

  it('of two patches, one is hidden', () => {
    for (let index = 0; index < 20; index++) expect(total(own([1, 2], 1, 1, index))).toBe(1)
  })
})

it('finds none in a grid where none fits, and ends', () => {
  expect(total(own([3, 3], 8, 8, 0))).toBeLessThanOrEqual(8)
  expect(total(own([1, 1], 1, 1, 0))).toBe(0)
})
