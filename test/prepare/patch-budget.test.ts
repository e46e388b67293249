// Sizes within a number of patches, by hand: the largest scale whose sides, rounded up to patches, stay within it.
import { expect, it } from 'vitest'
import { sizeWithin } from '../../src/prepare/patch-budget.ts'

it.each<[width: number, height: number, most: number, columns: number, rows: number]>([
  [640, 640, 256, 16, 16],
  [1000, 10, 256, 128, 2], // 2 · 128 at a scale of 2.048; one row ends at 100 columns
  [480, 160, 256, 27, 9], // 27 · 9 = 243; 28 · 10 = 280
  [160, 480, 256, 9, 27],
  [70, 45, 24, 6, 4],
  [1, 1, 256, 7, 7], // the scale ends at 100: 100 / 16 patches, rounded up
])('%d × %d pixels within %d patches are %d × %d', (width, height, most, columns, rows) => {
  const size = sizeWithin({ width, height }, { patch: [16, 16], most })
  expect([size.width / 16, size.height / 16]).toEqual([columns, rows])
})
