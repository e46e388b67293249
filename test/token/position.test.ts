import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readSafetensors } from '../../src/checkpoint/safetensors.ts'
import { packageRoot } from '../../src/package-root.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { composePositions, sidePositions, sineCosinePositions } from '../../src/token/position.ts'
import { expectClose, numbers } from '../tolerance.ts'

describe('sineCosinePositions', () => {
  it('by hand: width 4, one row of two columns, then one column of two rows', () => {
    const [s, c] = [Math.sin(1), Math.cos(1)]
    // column sine, column cosine, row sine, row cosine
    expectClose(sineCosinePositions({ h: 1, w: 2 }, 4), [0, 1, 0, 1, s, c, 0, 1], 1e-7)
    expectClose(sineCosinePositions({ h: 2, w: 1 }, 4), [0, 1, 0, 1, 0, 1, s, c], 1e-7)
  })

  it('the row comes first where it is asked for: the table of MoCo v3, and by hand on a grid that is no square', () =>
    scope(() => {
      const file = '../shared/reference/self-distillation/mocov3-frozen-projection.safetensors'
      const { tensors } = readSafetensors(join(packageRoot(), file))
      const stored = numbers(tensors.get('expected.out.positions')!) // [1, 1 + 16, 32], cls first
      expectClose(sineCosinePositions({ h: 4, w: 4 }, 32, 1, 'row-first'), stored.slice(32), 1e-6)
      const [s, c] = [Math.sin(1), Math.cos(1)]
      expectClose(sineCosinePositions({ h: 1, w: 2 }, 4, 1, 'row-first'), [0, 1, 0, 1, 0, 1, s, c], 1e-7)
    }))

  it('by hand: width 8 has the frequencies 1 and 1/100', () => {
    const table = sineCosinePositions({ h: 1, w: 4 }, 8)
    const column = [Math.sin(3), Math.sin(0.03), Math.cos(3), Math.cos(0.03)]
    expectClose(table.slice(3 * 8), [...column, 0, 0, 1, 1], 1e-7)
  })

  it.each([
    [{ h: 2, w: 3 }, 12],
    [{ h: 14, w: 14 }, 768],
    [{ h: 16, w: 5 }, 512],
  ])('agrees with another way to write it: %j, width %d', (grid, width) => {
    // One axis at a time, by rotation: the next position turns every pair (sin, cos) by its frequency.
    const axis = (length: number): number[][] => {
      const turns = Array.from({ length: width / 4 }, (_, k) => Math.exp((-k * 4 * Math.log(10000)) / width))
      let pairs = turns.map((): [number, number] => [0, 1])
      return Array.from({ length }, () => {
        const row = [...pairs.map(([sine]) => sine), ...pairs.map(([, cosine]) => cosine)]
        pairs = pairs.map(([sine, cosine], k): [number, number] => {
          const [ds, dc] = [Math.sin(turns[k]!), Math.cos(turns[k]!)]
          return [sine * dc + cosine * ds, cosine * dc - sine * ds]
        })
        return row
      })
    }
    const [rows, columns] = [axis(grid.h), axis(grid.w)]
    const expected = rows.flatMap((row) => columns.flatMap((column) => [...column, ...row]))
    expectClose(sineCosinePositions(grid, width), expected, 1e-6)
  })

  it.each([
    [{ h: 3, w: 5 }, 12],
    [{ h: 7, w: 1 }, 24],
  ])('is put together by tensor operations from a longer table of one side: %j, width %d', (grid, width) =>
    scope(() => {
      const side = tensor([...sidePositions(9, width / 2)], [9, width / 2])
      const made = composePositions(side, grid)
      expect(made.shape).toEqual([grid.h * grid.w, width])
      expectClose(made, sineCosinePositions(grid, width), 0)
    }),
  )

  it('tells every patch from every other', () => {
    const table = sineCosinePositions({ h: 7, w: 9 }, 16)
    const rows = Array.from({ length: 63 }, (_, n) => table.slice(n * 16, (n + 1) * 16).join())
    expect(new Set(rows).size).toBe(63)
  })

  it('by hand: a scale multiplies rows and columns', () => {
    const [s, c] = [Math.sin(2.5), Math.cos(2.5)]
    expectClose(sineCosinePositions({ h: 1, w: 2 }, 4, 2.5), [0, 1, 0, 1, s, c, 0, 1], 1e-7)
    expectClose(sineCosinePositions({ h: 2, w: 1 }, 4, 2.5), [0, 1, 0, 1, 0, 1, s, c], 1e-7)
  })

  it('is the same where the distance on the ground is: pixels of half the size, twice as many of them', () => {
    const coarse = sineCosinePositions({ h: 3, w: 4 }, 12, 2)
    const fine = sineCosinePositions({ h: 6, w: 8 }, 12, 1)
    for (const [r, c] of [
      [0, 3],
      [1, 2],
      [2, 1],
    ] as const) {
      const [at, same] = [(r * 4 + c) * 12, (2 * r * 8 + 2 * c) * 12]
      expectClose(coarse.slice(at, at + 12), fine.slice(same, same + 12), 1e-6)
    }
    expect(sineCosinePositions({ h: 3, w: 4 }, 12, 1)).toEqual(sineCosinePositions({ h: 3, w: 4 }, 12))
  })

  it.each([0, 2, 6, 3.5, Number.NaN])('refuses a width of %d', (width) =>
    expect(() => sineCosinePositions({ h: 1, w: 1 }, width)).toThrow(
      `Sine–cosine positions need a width that is a multiple of 4, got ${width}`,
    ),
  )
})
