import { expect, it } from 'vitest'
import { glyphTile, strokesOf } from '../../src/picture/glyphs.ts'

it('a stroke lies along the edge, for each direction of each cell, as strong as its mean over channels', () => {
  // One patch of 1 × 2 cells, two channels, two directions; ((channel · 2 + bin) · 1 + 0) · 2 + column.
  const histograms = [0.6, 0, 0.8, 0, 0.2, 1, 0, -0.5]
  const shape = { grid: [1, 1], cells: [1, 2], channels: 2, bins: 2 } as const
  const half = Math.SQRT1_2
  // Bin 0 has gradients at 45° between down and right: its edge goes up to the right. Bin 1 the other way.
  const close = (x: number, y: number) => [expect.closeTo(x, 12), expect.closeTo(y, 12)]
  expect(strokesOf(histograms, shape)).toEqual([
    { row: 0, column: 0, along: close(half, -half), strength: expect.closeTo(0.4, 12) },
    { row: 0, column: 0, along: close(-half, -half), strength: expect.closeTo(0.4, 12) },
    { row: 0, column: 1, along: close(half, -half), strength: 0.5 },
  ])
})

it('cells are where they are in the image, patch by patch', () => {
  // 1 × 2 patches of 2 × 1 cells, one channel and direction.
  const strokes = strokesOf([0, 1, 1, 0], { grid: [1, 2], cells: [2, 1], channels: 1, bins: 1 })
  expect(strokes.map(({ row, column }) => [row, column])).toEqual([
    [0, 1],
    [1, 0],
  ])
  // The one direction has its middle at a quarter turn: gradients to the side, upright edges.
  expect(strokes[0]!.along).toEqual([expect.closeTo(0, 12), -1])
})

it('the middle of nine directions is that of an upright edge', () => {
  const histogram = Array.from({ length: 9 }, (_, bin) => Number(bin === 4))
  const [stroke] = strokesOf(histogram, { grid: [1, 1], cells: [1, 1], channels: 1, bins: 9 })
  expect(stroke).toMatchObject({ along: [expect.closeTo(0, 12), expect.closeTo(-1, 12)], strength: 1 })
})

it('draws it into its cell alone', () => {
  const tile = glyphTile(
    [{ row: 0, column: 1, along: [0, -1], strength: 0.5 }],
    { grid: [1, 2], cells: [1, 1] },
    5,
  )
  // 1.1 wide around the middle column, 2.1 up and down of the middle.
  const line = (x: number) => Array.from({ length: 5 }, (_, y) => tile.pixels[y * 10 + x])
  expect(tile).toMatchObject({ width: 10, height: 5, channels: 1 })
  expect(line(7)).toEqual([128, 128, 128, 128, 128])
  expect(line(6)).toEqual([13, 13, 13, 13, 13]) // a tenth of it reaches the pixels beside
  expect(line(5)).toEqual([0, 0, 0, 0, 0])
  expect(line(4)).toEqual([0, 0, 0, 0, 0])
})

it('refuses histograms of another shape', () => {
  expect(() => strokesOf([1, 2], { grid: [1, 1], cells: [1, 1], channels: 1, bins: 9 })).toThrow(
    'expected 1 × 1 patches of 9 numbers, got 2 numbers',
  )
})
