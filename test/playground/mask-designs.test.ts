import { describe, expect, it } from 'vitest'
import {
  type DesignName,
  designNames,
  designs,
  hiddenFlags,
  isPainted,
  maskFor,
} from '../../playground/src/mask-designs.ts'
import { scope } from '../../src/tensor/scope.ts'
import { maskNoise, planFromNoise } from '../../src/token/mask.ts'
import { maskKindNames } from '../../src/token/mask-kinds.ts'
import { keptCount, maskOrder } from '../../src/token/mask-order.ts'
import { numbers } from '../tolerance.ts'

const mask = (design: DesignName, grid: { h: number; w: number }, ratio: number, seed = 0) =>
  maskFor(grid, { design, ratio, seed, marks: [] })

/** One line for each row of patches, `#` hidden. */
const drawn = (design: DesignName, h: number, w: number, ratio: number) => {
  const flags = hiddenFlags(mask(design, { h, w }, ratio))
  return Array.from({ length: h }, (_, y) =>
    Array.from(flags.subarray(y * w, (y + 1) * w), (flag) => (flag === 1 ? '#' : '.')).join(''),
  )
}

it('offers every kind of mask that needs no model', () => {
  const kinds = designNames.flatMap((name) => {
    const design = designs[name]
    return 'kind' in design ? [design.kind] : []
  })
  expect(kinds.sort()).toEqual([...maskKindNames].sort())
})

const generated = designNames.filter((design) => !isPainted(design))

describe('a random mask', () => {
  it.each([0.5, 0.75, 0.9])('is that of the first image of "sherd reconstruct", ratio %d', (ratio) => {
    const plan = scope(() => {
      const { kept, hidden } = planFromNoise(
        maskNoise(35, 3, { epochs: [0], indices: [0] }),
        keptCount(35, ratio),
      )
      return { kept: numbers(kept), hidden: numbers(hidden) }
    })
    expect(mask('random', { h: 5, w: 7 }, ratio, 3)).toEqual(plan)
    expect(plan).toEqual(maskOrder(35, ratio, { seed: 3, epoch: 0, index: 0 }))
  })

  it('is another one for another seed', () => {
    const grid = { h: 5, w: 7 }
    expect(mask('random', grid, 0.5, 4)).not.toEqual(mask('random', grid, 0.5, 3))
  })
})

describe.each(generated)('the design %s', (design) => {
  it('hides exactly the ratio, every patch once, and a higher ratio only hides more', () => {
    for (const grid of [
      { h: 3, w: 5 },
      { h: 8, w: 8 },
      { h: 14, w: 14 },
      { h: 1, w: 2 },
    ]) {
      const tokens = grid.h * grid.w
      let before = new Set<number>()
      for (let percent = 0; percent <= 95; percent += 5) {
        const { kept, hidden } = mask(design, grid, percent / 100, 11)
        expect(kept.length).toBe(Math.max(1, Math.floor(tokens * (1 - percent / 100))))
        expect([...kept, ...hidden].sort((a, b) => a - b)).toEqual([...Array(tokens).keys()])
        const now = new Set(hidden)
        expect([...before].every((patch) => now.has(patch))).toBe(true)
        before = now
      }
    }
  })
})

describe('what designs look like', () => {
  it('half of a grid is a chequerboard, three quarters leave every other patch of every other row', () => {
    expect(drawn('grid', 4, 6, 0.5)).toEqual(['.#.#.#', '#.#.#.', '.#.#.#', '#.#.#.'])
    expect(drawn('grid', 4, 6, 0.75)).toEqual(['.#.#.#', '######', '.#.#.#', '######'])
  })

  it('the centre is a square', () => {
    expect(drawn('centre', 5, 5, 0.36)).toEqual(['.....', '.###.', '.###.', '.###.', '.....'])
    expect(drawn('centre', 4, 6, 4 / 24)).toEqual(['......', '..##..', '..##..', '......'])
  })

  it('the periphery is all but a square', () => {
    expect(drawn('periphery', 4, 4, 0.75)).toEqual(['####', '#..#', '#..#', '####'])
  })

  it('cells are hidden as a whole', () => {
    for (let seed = 0; seed < 10; seed++) {
      const hidden = new Set(mask('cells', { h: 4, w: 6 }, 0.5, seed).hidden)
      expect(hidden.size).toBe(12)
      for (const n of hidden)
        for (const other of [n ^ 1, n + (Math.floor(n / 6) % 2 === 0 ? 6 : -6)])
          expect(hidden.has(other)).toBe(true)
    }
  })

  it('a block is one piece', () => {
    for (let seed = 0; seed < 20; seed++) {
      const hidden = new Set(mask('block', { h: 7, w: 9 }, 0.4, seed).hidden)
      const reached = [[...hidden][0]!]
      const seen = new Set(reached)
      for (const patch of reached)
        for (const [next, isNear] of [
          [patch - 9, true],
          [patch + 9, true],
          [patch - 1, patch % 9 > 0],
          [patch + 1, patch % 9 < 8],
        ] as const)
          if (isNear && hidden.has(next) && !seen.has(next)) {
            seen.add(next)
            reached.push(next)
          }
      expect(seen.size).toBe(hidden.size)
    }
  })
})

it('painted patches are hidden, or everything else is', () => {
  const settings = { ratio: 0.9, seed: 0, marks: [1, 4] }
  const grid = { h: 2, w: 3 }
  expect(maskFor(grid, { ...settings, design: 'painted' })).toEqual({ kept: [0, 2, 3, 5], hidden: [1, 4] })
  expect(maskFor(grid, { ...settings, design: 'unpainted' })).toEqual({ kept: [1, 4], hidden: [0, 2, 3, 5] })
  expect(maskFor(grid, { ...settings, design: 'unpainted', marks: [] }).kept).toEqual([])
})
