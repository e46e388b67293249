import { expect, it } from 'vitest'
import { overlapOf } from '../../src/evaluate/mean-iou.ts'

it('gives intersection over union by class, of a matrix counted by hand', () => {
  // 10 pixels of a: 8 found, 2 taken for b. 5 of b: 4 found, 1 taken for a. c is in no mask, and nowhere predicted.
  const made = overlapOf(
    [
      [8, 2, 0],
      [1, 4, 0],
      [0, 0, 0],
    ],
    ['a', 'b', 'c'],
  )
  expect(made.pixels).toBe(15)
  expect(made.classes.map(({ iou }) => iou)).toEqual([8 / 11, 4 / 7, null])
  expect(made.classes.map(({ precision }) => precision)).toEqual([8 / 9, 4 / 6, null])
  expect(made.meanIou).toBeCloseTo((8 / 11 + 4 / 7) / 2, 12)
  expect(made.pixelAccuracy).toBe(12 / 15)
  expect(made.meanAccuracy).toBeCloseTo((0.8 + 0.8) / 2, 12)
  expect(made.classes.map(({ share }) => share)).toEqual([10 / 15, 5 / 15, 0])
})

it('counts a class that is predicted but in no mask as an IoU of 0', () => {
  const made = overlapOf(
    [
      [3, 1],
      [0, 0],
    ],
    ['a', 'b'],
  )
  expect(made.classes.map(({ iou, accuracy }) => [iou, accuracy])).toEqual([
    [0.75, 0.75],
    [0, null],
  ])
  expect(made.meanIou).toBe(0.375)
  expect(made.meanAccuracy).toBe(0.75)
})
