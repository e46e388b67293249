// Tables of relative positions for other grids, as transformers and timm make them.
import { describe, expect, it } from 'vitest'
import {
  type RelativePositions,
  resampleTable,
  resampleTableNumbers,
} from '../../src/model/relative-position.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { geometricOffsets } from '../../src/token/geometric-offsets.ts'
import type { Grid } from '../../src/token/grid.ts'
import { expectClose, numbers } from '../tolerance.ts'

const tableOf = (grid: Grid, heads: number) =>
  Float32Array.from({ length: ((2 * grid.h - 1) * (2 * grid.w - 1) + 3) * heads }, (_, i) => (7 * i) % 11)

interface Case {
  readonly by: 'linear' | 'geometric'
  readonly from: Grid
  readonly heads: number
  readonly to: Grid
  readonly expected: readonly number[]
}

// The numbers of `geometric` are those of timm 1.0.31, `resize_rel_pos_bias_table`.
const cases: readonly Case[] = [
  {
    ...{ by: 'geometric', from: { h: 3, w: 3 }, heads: 2, to: { h: 4, w: 2 } },
    expected: [
      ...[3, 10, 6, 2, 9, 5, 4.33333, 7.66667, 7.33333, 3.33333, 6.66667, 6.33333, 7, 3, 10, 6, 2, 9, 0, 7],
      ...[3, 10, 6, 2, 4, 0, 7, 3, 10, 6, 6.66667, 2.66667, 2.33333, 5.66667, 5.33333, 8.66667, 8, 4, 0, 7],
      ...[3, 10, 9, 5, 1, 8, 4, 0],
    ],
  },
  {
    // A side that stays is moved a little, too: a step grows by 1.01 at least.
    ...{ by: 'geometric', from: { h: 2, w: 3 }, heads: 1, to: { h: 3, w: 3 } },
    expected: [
      ...[0.06931, 7, 3, 10, 6.03961, 0.06931, 7, 3, 10, 6.03961, 2.06931, 9, 5, 1, 7.93069, 3.96039, 0, 7],
      ...[3, 9.93069, 3.96039, 0, 7, 3, 9.93069, 6, 2, 9],
    ],
  },
  {
    // One offset becomes three of it; of three offsets 0, 7, 3 five lie at −1/5, 2/5, 1, 8/5, 11/5.
    ...{ by: 'linear', from: { h: 1, w: 2 }, heads: 1, to: { h: 2, w: 3 } },
    expected: [...[0, 1, 2].flatMap(() => [0, 2.8, 7, 4.6, 3]), 10, 6, 2],
  },
]

describe('a table of one grid for another', () => {
  it.each(cases)('$by, to $to.h × $to.w', ({ by, from, heads, to, expected }) =>
    scope(() => {
      const table = tableOf(from, heads)
      const relative: RelativePositions = { tables: 'shared', grid: from, resampling: by }
      expectClose(
        numbers(resampleTable(tensor([...table], [table.length / heads, heads]), relative, to)),
        expected,
        1e-5,
      )
      expectClose(resampleTableNumbers(table, heads, relative, to), expected, 1e-5)
      expect(resampleTableNumbers(table, heads, relative, from)).toBe(table)
    }),
  )

  it('geometric steps grow by what reaches the last new offset', () => {
    // 1 + q = 3, were it not for the largest growth of 1.5; 1 + q + q² = 4.5 is above 4 for q = 1.5.
    expectClose(geometricOffsets(5, 7), [-2.5, -1, 0, 1, 2.5], 1e-5)
    expect(geometricOffsets(7, 9).at(-1)).toBeCloseTo(4, 4)
    expect(geometricOffsets(1, 5)).toEqual([0])
  })
})
