import { expect, it } from 'vitest'
import { type Copy, shownOf } from '../../src/run/duplicates.ts'

const group = (count: number, kept: number): Copy[] =>
  Array.from({ length: count }, (_, row) => ({
    ...{ row, file: `${row}.jpg`, width: null, height: null, bytes: null, keep: row === kept },
  }))

it.each([
  ['all of a small group, in its order', 3, 2, [0, 1, 2]],
  ['the first of a large one', 9, 1, [0, 1, 2]],
  ['the one to keep before them where it comes later', 9, 7, [7, 0, 1]],
])('shows %s', (_, count, kept, rows) => {
  expect(shownOf(group(count, kept), 3).map(({ row }) => row)).toEqual(rows)
})
