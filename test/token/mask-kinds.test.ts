import { describe, expect, it } from 'vitest'
import { draws } from '../../src/random/draws.ts'
import { scope } from '../../src/tensor/scope.ts'
import { type Grid, tokenCount } from '../../src/token/grid.ts'
import { planFromNoise } from '../../src/token/mask.ts'
import {
  designedNoise,
  keptTokens,
  type MaskDesign,
  randomMask,
  type Sharing,
  sharings,
} from '../../src/token/mask-design.ts'
import {
  type MaskKind,
  type MaskShape,
  maskKindNames,
  shapedOrder,
  usualBlocks,
} from '../../src/token/mask-kinds.ts'
import { multiBlockOf, multiBlockSizes } from '../../src/token/multi-block.ts'
import { numbers } from '../tolerance.ts'
import { addresses, maskConformance } from './mask-conformance.ts'

const grids: Grid[] = [
  { h: 1, w: 12 },
  { h: 12, w: 1 },
  { h: 1, w: 2 },
  { h: 4, w: 4 },
  { h: 8, w: 16 },
  { h: 14, w: 14 },
  { h: 7, w: 9 },
]
const shapeOf = (kind: MaskKind): MaskShape => ({ kind, cell: kind === 'coarse' ? [2, 2] : [1, 1] })
const plain = (grid: Grid) => ({ grid, frames: 1, groups: 1 })
const designOf = (kind: MaskKind, ratio: number): MaskDesign => ({
  ...randomMask(ratio),
  shape: shapeOf(kind),
})
const planOf = (grid: Grid, design: MaskDesign) => (seed: number, samples: ReturnType<typeof addresses>) =>
  planFromNoise(designedNoise(plain(grid), design, seed, samples), keptTokens(plain(grid), design))

/** Hidden patches of each sample, ascending. */
const hiddenOf = (grid: Grid, design: MaskDesign, seed = 1, samples = addresses([0, 0])): number[][] =>
  scope(() => {
    const { hidden } = planOf(grid, design)(seed, samples)
    const [all, [B, M]] = [numbers(hidden), hidden.shape as [number, number]]
    return Array.from({ length: B }, (_, b) => all.slice(b * M, (b + 1) * M).sort((x, y) => x - y))
  })

/** A line for each row of patches, `#` hidden. */
const drawn = (kind: MaskKind, h: number, w: number, ratio: number, seed = 1) => {
  const hidden = new Set(hiddenOf({ h, w }, designOf(kind, ratio), seed)[0])
  return Array.from({ length: h }, (_, y) =>
    Array.from({ length: w }, (_, x) => (hidden.has(y * w + x) ? '#' : '.')).join(''),
  )
}

const isFixed = (kind: MaskKind) => ['grid', 'centre', 'periphery'].includes(kind)
describe.each(maskKindNames)('%s', (kind) => {
  for (const grid of [
    { h: 14, w: 14 },
    { h: 7, w: 9 },
  ]) {
    const design = designOf(kind, 0.6)
    const kept = Math.floor(tokenCount(grid) * 0.4)
    maskConformance(
      `${grid.h} × ${grid.w}`,
      { tokens: tokenCount(grid), kept, plan: planOf(grid, design) },
      isFixed(kind) ? [{ check: 'variety', reason: 'its place is fixed' }] : [],
    )
  }

  it('hides exactly what random masks hide, in any grid', () => {
    for (const grid of grids)
      for (const ratio of [0.1, 0.4, 0.5, 0.75, 0.9]) {
        const N = tokenCount(grid)
        const kept = Math.floor(N * (1 - ratio))
        if (kept === 0 || kept === N || (kind === 'coarse' && N === 2)) continue
        const batch = addresses([0, 0], [2, 5])
        for (const row of hiddenOf(grid, designOf(kind, ratio), 3, batch))
          expect([kind, grid, ratio, new Set(row).size]).toEqual([kind, grid, ratio, N - kept])
      }
  })
})

it.each(maskKindNames)('the plain numbers of %s are those of its plan', (kind) => {
  for (const grid of [
    { h: 7, w: 9 },
    { h: 1, w: 12 },
  ])
    scope(() => {
      const design = designOf(kind, 0.6)
      const { kept, hidden } = planOf(grid, design)(7, addresses([2, 5]))
      expect(shapedOrder(grid, shapeOf(kind), 0.6, { seed: 7, epoch: 2, index: 5 })).toEqual({
        ...{ kept: numbers(kept), hidden: numbers(hidden) },
      })
    })
})

it('random is what it was without a kind', () =>
  scope(() => {
    const batch = addresses([0, 4], [2, 9])
    for (const layout of [plain({ h: 7, w: 9 }), { grid: { h: 4, w: 5 }, frames: 2, groups: 3 }]) {
      const without = randomMask(0.6)
      const named: MaskDesign = { ...without, shape: { kind: 'random' } }
      expect(numbers(designedNoise(layout, named, 5, batch))).toEqual(
        numbers(designedNoise(layout, without, 5, batch)),
      )
      expect(keptTokens(layout, named)).toBe(keptTokens(layout, without))
    }
  }))

describe('by hand', () => {
  it('a grid keeps one of four places at 3/4, a chequerboard at 1/2, one of sixteen at 15/16', () => {
    expect(drawn('grid', 4, 6, 0.75)).toEqual(['.#.#.#', '######', '.#.#.#', '######'])
    expect(drawn('grid', 4, 4, 0.5)).toEqual(['.#.#', '#.#.', '.#.#', '#.#.'])
    expect(drawn('grid', 4, 8, 15 / 16)).toEqual(['.###.###', '########', '########', '########'])
    expect(drawn('grid', 1, 8, 0.5)).toEqual(['.#.#.#.#'])
    expect(drawn('grid', 1, 8, 0.75)).toEqual(['.###.###'])
    const kept = drawn('grid', 14, 14, 0.75).map((row) => row.replaceAll('#', '').length)
    expect(kept).toEqual(Array.from({ length: 14 }, (_, y) => (y % 2 === 0 ? 7 : 0)))
  })

  it('the periphery leaves a rectangle of the shape of the grid', () => {
    expect(drawn('periphery', 4, 4, 0.75)).toEqual(['####', '#..#', '#..#', '####'])
    expect(drawn('periphery', 1, 8, 0.75)).toEqual(['###..###'])
    // 15 of 63 are kept: 3 rows of 5.
    const [whole, part] = ['#########', '##.....##']
    expect(drawn('periphery', 7, 9, 0.75)).toEqual([whole, whole, part, part, part, whole, whole])
    // 32 of 128: half of the height, half of the width.
    const [all, half] = ['#'.repeat(16), '####........####']
    expect(drawn('periphery', 8, 16, 0.75)).toEqual([all, all, half, half, half, half, all, all])
  })

  it('the centre leaves the border, and of a part of a ring any', () => {
    expect(drawn('centre', 4, 4, 0.25)).toEqual(['....', '.##.', '.##.', '....'])
    expect(drawn('centre', 5, 7, 3 / 7)).toEqual(['.......', '.#####.', '.#####.', '.#####.', '.......'])
    const masks = Array.from({ length: 6 }, (_, seed) => drawn('centre', 4, 4, 0.5, seed))
    for (const mask of masks) expect([mask[1]!.slice(1, 3), mask[2]!.slice(1, 3)]).toEqual(['##', '##'])
    expect(new Set(masks.map((mask) => mask.join())).size).toBeGreaterThan(1)
  })

  it('blocks of one size are hidden before all else, and nothing else before them', () => {
    const grid = { h: 14, w: 14 }
    const sizes = new Set<string>()
    for (let seed = 0; seed < 40; seed++) {
      const draw = draws({ seed, stream: 'mask/multi-block', epoch: 0, index: 0 })
      const own = multiBlockSizes(grid, usualBlocks, draw)
      const { targets } = multiBlockOf(grid, usualBlocks, { sizes: own }, draw)
      const union = new Set(targets.flatMap((target) => [...target]))
      const { rows, columns } = own.target
      sizes.add(`${rows} × ${columns}`)
      // 15 to 20 % of 196 patches are 29 to 39, in blocks of 0.75 to 1.5; rounding of the sides adds to both.
      expect([targets.length, rows * columns >= 25, rows * columns <= 42]).toEqual([4, true, true])
      expect([rows >= 5, rows <= 8, columns >= 4, columns <= 7]).toEqual([true, true, true, true])
      const few = hiddenOf(grid, designOf('multi-block', 0.1), seed)[0]!
      expect(few.every((n) => union.has(n))).toBe(true)
      const many = new Set(hiddenOf(grid, designOf('multi-block', 0.8), seed)[0])
      expect([...union].every((n) => many.has(n))).toBe(true)
    }
    expect(sizes.size).toBeGreaterThan(5) // the released code has five
  })

  it('cells are hidden as a whole, but for the last one', () => {
    const hiddenByCell = (h: number, w: number, ratio: number, seed: number) => {
      const counts = new Map<number, number>()
      for (const n of hiddenOf({ h, w }, designOf('coarse', ratio), seed)[0]!) {
        const cell = Math.floor(n / w / 2) * Math.ceil(w / 2) + Math.floor((n % w) / 2)
        counts.set(cell, (counts.get(cell) ?? 0) + 1)
      }
      return [...counts.values()].sort((a, b) => a - b)
    }
    for (let seed = 0; seed < 5; seed++) {
      expect(hiddenByCell(8, 16, 0.75, seed)).toEqual(Array(24).fill(4)) // 96 of 128
      expect(hiddenByCell(14, 14, 0.75, seed)).toEqual([3, ...Array<number>(36).fill(4)]) // 147 = 36 · 4 + 3
    }
  })

  it('cells at the edge of a grid that is no multiple of them are cut', () => {
    // 2 × 3 patches are a cell of four and one of two: a third hides one of them, or half of the other.
    const masks = Array.from({ length: 40 }, (_, seed) => drawn('coarse', 2, 3, 1 / 3, seed).join('/'))
    expect(masks.filter((mask) => mask === '..#/..#').length).toBeGreaterThan(5)
    expect(masks.filter((mask) => mask[2] === '.' && mask[6] === '.').length).toBeGreaterThan(5)
  })
})

it('one cell that covers all is refused', () => {
  const design: MaskDesign = { ...randomMask(0.5), shape: { kind: 'coarse', cell: [4, 4] } }
  expect(() => scope(() => designedNoise(plain({ h: 4, w: 4 }), design, 1, addresses([0, 0])))).toThrow(
    'mask.cell covers all 4 × 4 patches: at least two cells are needed',
  )
})

describe('of groups and frames', () => {
  const L = 63
  const layout = { grid: { h: 7, w: 9 }, frames: 2, groups: 3 }
  const cases = maskKindNames
    .filter((kind) => kind !== 'random')
    .flatMap((kind) =>
      sharings.flatMap((groups) => sharings.map((frames) => [kind, groups, frames] as const)),
    )
  it.each<readonly [MaskKind, Sharing, Sharing]>(cases)(
    '%s, %s groups, %s frames: each hides exactly the ratio, and shares what it says',
    (kind, groups, frames) =>
      scope(() => {
        const design = { ...designOf(kind, 0.6), groups, frames }
        const kept = keptTokens(layout, design)
        expect(kept).toBe(6 * 25) // 25.2 of 63
        const plan = planFromNoise(designedNoise(layout, design, 4, addresses([0, 3], [1, 8])), kept)
        const all = numbers(plan.kept)
        for (const row of [all.slice(0, kept), all.slice(kept)]) {
          const masks = Array.from({ length: 6 }, (_, mask) =>
            row
              .filter((n) => Math.floor(n / L) === mask)
              .map((n) => n % L)
              .sort((a, b) => a - b),
          )
          for (const mask of masks) expect(mask.length).toBe(25)
          const [ofGroup, ofFrame] = [
            new Set([0, 2, 4].map((m) => masks[m]!.join())),
            new Set([0, 1].map((m) => masks[m]!.join())),
          ]
          if (groups === 'consistent') expect(ofGroup.size).toBe(1)
          else if (!isFixed(kind)) expect(ofGroup.size).toBe(3)
          if (frames === 'consistent') expect(ofFrame.size).toBe(1)
          else if (!isFixed(kind)) expect(ofFrame.size).toBe(2)
        }
      }),
  )
})
