// Blocks of I-JEPA: their sizes, places and what is left of the context, of samples in any micro-batch.
import { describe, expect, it } from 'vitest'
import { draws } from '../../src/random/draws.ts'
import {
  blocksOfStep,
  checkMultiBlocks,
  type MultiBlockShape,
  multiBlockOf,
  multiBlockSizes,
  multiBlocks,
} from '../../src/token/multi-block.ts'

const published: MultiBlockShape = {
  ...{ targets: 4, targetScale: [0.15, 0.2], targetAspect: [0.75, 1.5] },
  ...{ contexts: 1, contextScale: [0.85, 1], contextAspect: [1, 1], minKeep: 10 },
}
const released: MultiBlockShape = { ...published, compat: 'ijepa' }
const grid = { h: 14, w: 14 }
const drawAt = (index: number) => draws({ seed: 1, stream: 'test', epoch: 0, index })
const numbers = (n: number) => Array.from({ length: n }, (_, i) => i)

describe('sizes', () => {
  const targetsOf = (shape: MultiBlockShape) =>
    new Set(
      numbers(2000).map((i) => {
        const { rows, columns } = multiBlockSizes(grid, shape, drawAt(i)).target
        return `${rows}×${columns}`
      }),
    )
  it('of the released code are five, since one random number gives scale and aspect ratio', () =>
    expect([...targetsOf(released)].sort()).toEqual(['5×6', '6×5', '6×6', '7×5', '8×5']))

  it('drawn independently are of 0.15 to 0.2 of the patches, with sides that are 0.75 to 1.5 of each other, rounded', () => {
    const sides = [...targetsOf(published)].map((each) => each.split('×').map(Number) as [number, number])
    expect(sides.length).toBeGreaterThan(5)
    const possible = numbers(11).flatMap((i) =>
      numbers(751).map((j) => [29 + i, 0.75 + j / 1000].map(Number) as [number, number]),
    )
    const allowed = new Set(
      possible.map(
        ([k, aspect]) => `${Math.round(Math.sqrt(k * aspect))}×${Math.round(Math.sqrt(k / aspect))}`,
      ),
    )
    for (const [rows, columns] of sides) expect(allowed).toContain(`${rows}×${columns}`)
  })

  it('are below the sides of the grid', () =>
    expect(multiBlockSizes(grid, published, drawAt(3)).context).toEqual({ rows: 13, columns: 13 }))
})

describe('a sample', () => {
  const of = (shape: MultiBlockShape, index: number) => {
    const draw = drawAt(index)
    return multiBlockOf(grid, shape, { sizes: multiBlockSizes(grid, shape, draw) }, draw)
  }
  it('has blocks in row-major order, and a context that shares nothing with them', () => {
    for (const index of numbers(50)) {
      const { targets, contexts } = of(published, index)
      expect([targets.length, contexts.length]).toEqual([4, 1])
      const hidden = new Set(targets.flatMap((target) => [...target]))
      for (const list of [...targets, ...contexts]) expect([...list]).toEqual([...list].sort((a, b) => a - b))
      expect(contexts[0]!.filter((n) => hidden.has(n)).length).toBe(0)
      expect(contexts[0]!.length).toBeGreaterThanOrEqual(10)
    }
  })

  it('may have blocks at every place; in the released code the last row and column are in none', () => {
    const places = (shape: MultiBlockShape) =>
      new Set(
        numbers(400).flatMap((i) =>
          Object.values(of(shape, i)).flatMap((lists: readonly Int32Array[]) =>
            lists.flatMap((x: Int32Array) => [...x]),
          ),
        ),
      )
    expect(places(published).size).toBe(196)
    const seen = places(released)
    expect(seen.size).toBe(169)
    expect([...seen].filter((n) => n % 14 === 13 || n >= 13 * 14)).toEqual([])
  })
})

describe('a step', () => {
  const samplesOf = (indices: readonly number[]) => ({ epochs: indices.map(() => 2), indices })
  const at = { seed: 5, step: 7, rows: 16 }

  it('keeps as many context patches of every sample, however it is split over micro-batches and ranks', () => {
    const ofStep = blocksOfStep(grid, published, at)
    const whole = multiBlocks(grid, published, ofStep, { seed: 5, samples: samplesOf(numbers(16)) })
    expect(whole.contexts[0]!.every(({ length }) => length === ofStep.kept)).toBe(true)
    const again = blocksOfStep(grid, published, at)
    const parts = [0, 4, 8, 12].map((first) =>
      multiBlocks(grid, published, again, { seed: 5, samples: samplesOf(numbers(4).map((i) => first + i)) }),
    )
    expect(parts.flatMap(({ contexts }) => contexts[0]!)).toEqual(whole.contexts[0])
    for (const p of numbers(4)) expect(parts.flatMap(({ targets }) => targets[p]!)).toEqual(whole.targets[p])
  })

  it('keeps what the shortest context of a batch of its size does, within 2 % in the mean of 300 steps', () => {
    const steps = numbers(300)
    const drawn = steps.map((step) => blocksOfStep(grid, published, { ...at, step }).kept)
    const shortest = steps.map((step) => {
      const { sizes } = blocksOfStep(grid, published, { ...at, step })
      return Math.min(
        ...numbers(16).map(
          (i) =>
            multiBlockOf(grid, published, { sizes }, draws({ seed: 9, stream: 'x', epoch: step, index: i }))
              .contexts[0]!.length,
        ),
      )
    })
    const mean = (x: readonly number[]) => x.reduce((a, b) => a + b, 0) / x.length
    expect(Math.abs(mean(drawn) / mean(shortest) - 1)).toBeLessThan(0.02)
    expect(new Set(drawn).size).toBeGreaterThan(10)
  })

  it('is possible where targets cover nearly all: they then lie on one place', () => {
    const crowded: MultiBlockShape = { ...published, targets: 40, minKeep: 100 }
    const { kept } = blocksOfStep(grid, crowded, { ...at, rows: 2 })
    expect(kept).toBeGreaterThanOrEqual(100)
    const { contexts } = multiBlocks(grid, crowded, blocksOfStep(grid, crowded, { ...at, rows: 2 }), {
      seed: 5,
      samples: samplesOf([0, 1]),
    })
    expect(contexts[0]!.map(({ length }) => length)).toEqual([kept, kept])
  })

  it('is refused where too little may be left', () => {
    expect(() => checkMultiBlocks(grid, published)).not.toThrow()
    expect(() => checkMultiBlocks({ h: 4, w: 4 }, published)).toThrow(
      'In 4 × 4 patches the smallest context block has 9, and the largest target block 4: 5 are left, and at least 10 should be',
    )
    expect(() => checkMultiBlocks({ h: 1, w: 16 }, published)).toThrow('expected two rows and columns')
  })
})
