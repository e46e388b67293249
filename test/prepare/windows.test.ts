import { expect, it } from 'vitest'
import { windowsOf } from '../../src/prepare/windows.ts'

const square = { width: 10, height: 10 }
const lefts = (width: number, height: number) =>
  windowsOf({ width, height }, square).map(({ left, top }) => [left, top])

it('one window for a square, two for 3 : 2, upright and lying; all of the image is in one of them', () => {
  expect(windowsOf({ width: 300, height: 300 }, square)).toEqual([
    { left: 0, top: 0, width: 300, height: 300 },
  ])
  expect(lefts(300, 200)).toEqual([
    [0, 0],
    [100, 0],
  ])
  expect(lefts(200, 300)).toEqual([
    [0, 0],
    [0, 100],
  ])
  expect(lefts(500, 200)).toEqual([
    [0, 0],
    [150, 0],
    [300, 0],
  ])
  expect(lefts(205, 200)).toEqual([[2, 0]]) // the centre, and 2 or 3 pixels beside it
  expect(lefts(220, 200)).toEqual([
    [0, 0],
    [20, 0],
  ])
})

it('windows have the shape of the model', () => {
  const [one, two] = windowsOf({ width: 400, height: 400 }, { width: 20, height: 10 })
  expect([one, two]).toEqual([
    { left: 0, top: 0, width: 400, height: 200 },
    { left: 0, top: 200, width: 400, height: 200 },
  ])
})
