import { describe, expect, it } from 'vitest'
import {
  addSizes,
  recordingPoints,
  type Size,
  type SymbolValues,
  sameSize,
  sizeAt,
  sizeName,
  sizeThrough,
} from '../../src/onnx/symbolic-sizes.ts'

const three = { batch: [2, 3, 5], rows: [2, 4, 3], columns: [3, 2, 7] } as const
const through = (of: (at: { batch: number; rows: number; columns: number }) => number) =>
  sizeThrough(
    recordingPoints(three).map((point) => of(point as { batch: number; rows: number; columns: number })),
    three,
  )

it('code is recorded at every corner, and at a point that is none', () => {
  expect(recordingPoints({ batch: [2, 3, 5], kept: [1, 2, 4] })).toEqual([
    { batch: 2, kept: 1 },
    { batch: 3, kept: 1 },
    { batch: 2, kept: 2 },
    { batch: 3, kept: 2 },
    { batch: 5, kept: 4 },
  ])
})

describe('the size through values', () => {
  it.each<[string, Size | null, Parameters<typeof through>[0]]>([
    ['a number', 7, () => 7],
    ['a fraction that is always the same', 0.25, () => 0.25],
    ['a symbol', { rows: 1 }, ({ rows }) => rows],
    ['a product of all', { 'batch*rows*columns': 3 }, (at) => 3 * at.batch * at.rows * at.columns],
    [
      'a sum',
      { '1': 1, rows: -2, 'batch*columns': 4 },
      ({ batch, rows, columns }) => 1 - 2 * rows + 4 * batch * columns,
    ],
    ['a square: none', null, ({ rows }) => rows ** 2],
    ['a quotient: none', null, ({ batch }) => 1 / batch],
    ['the larger of two: none', null, ({ rows, columns }) => Math.max(rows, columns)],
    ['what the check alone finds: none', null, ({ batch }) => (batch === 5 ? 6 : batch)],
  ])('%s', (_, expected, of) => expect(through(of)).toEqual(expected))
})

it('a size has a value, a name and a sum', () => {
  const size = { '1': 15, kept: -1, 'batch*kept': 2 }
  expect(sizeAt(size, { batch: 3, kept: 4 } satisfies SymbolValues)).toBe(35)
  expect(sizeAt(9, {})).toBe(9)
  expect(['batch*kept', 'kept', '1'].map((product) => sizeName({ [product]: 1 }))).toEqual([
    ...['batch*kept', 'kept', '1'],
  ])
  expect(sizeName(size)).toBe('15-kept+2*batch*kept')
  expect(sameSize({ a: 1, b: 2 }, { b: 2, a: 1 })).toBe(true)
  expect([sameSize({ a: 1 }, { a: 2 }), sameSize({ a: 1 }, undefined), sameSize(3, 3)]).toEqual([
    ...[false, false, true],
  ])
  expect(addSizes({ '1': 15, kept: -1 }, { kept: 1 })).toBe(15)
  expect(addSizes(2, { kept: 1 })).toEqual({ '1': 2, kept: 1 })
  expect(addSizes(2, 3)).toBe(5)
})
