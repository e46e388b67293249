import { expect, it } from 'vitest'
import { componentColours, principalComponents } from '../../src/look/components.ts'
import { expectClose } from '../tolerance.ts'

it('finds the axes of points on three of them, with their shares of the variance', () => {
  // Around (5, 6, 7): variances 18/6, 8/6, 2/6.
  const around = [-3, 3].flatMap((x) => [[x, 0, 0]])
  const points = [...around, [0, 0, -2], [0, 0, 2], [0, 1, 0], [0, -1, 0]]
  const features = Float32Array.from(points.flatMap((point) => point.map((x, i) => x + 5 + i)))
  const { vectors, explained, values } = principalComponents(features, 3)
  const axes = [
    [1, 0, 0],
    [0, 0, 1],
    [0, 1, 0],
  ]
  for (const [i, axis] of axes.entries()) expectClose(vectors[i]!, axis, 1e-12)
  expectClose(explained, [18 / 28, 8 / 28, 2 / 28], 1e-12)
  for (const [row, [x, y, z]] of points.entries()) expectClose(values[row]!, [x!, z!, y!], 1e-12)
})

it('turns a component so that its greatest number is positive', () => {
  const along = (x: number, y: number) => Float32Array.from([-2, -1, 0, 1, 2].flatMap((t) => [t * x, t * y]))
  for (const features of [along(3, 4), along(-3, -4)]) {
    const { vectors, explained } = principalComponents(features, 2, 1)
    expectClose(vectors[0]!, [0.6, 0.8], 1e-12)
    expectClose(explained, [1], 1e-12)
  }
})

it('explains nothing of features that are all the same, and draws them grey', () => {
  const made = principalComponents(new Float32Array(8).fill(2), 2)
  expect(made.explained).toEqual([0, 0])
  expect([...componentColours(made)]).toEqual(new Array(12).fill(128))
})

it('scales each component from its 1st to its 99th percentile', () => {
  const values = Array.from({ length: 101 }, (_, i) => Float64Array.of(i, 100 - i))
  const colours = componentColours({ values })
  const at = (row: number) => [...colours.subarray(3 * row, 3 * row + 3)]
  expect([at(0), at(1), at(99), at(100)]).toEqual([
    [0, 255, 128],
    [0, 255, 128],
    [255, 0, 128],
    [255, 0, 128],
  ])
  expect(at(50)).toEqual([128, 128, 128]) // 127.5
  expect(at(15)[0]).toBe(36) // 255 · 14 / 98 = 36.4
})

it('gives two halves two colours', () => {
  const [left, right] = [
    [1, 2, 3, 4],
    [4, -1, 0, 2],
  ]
  const features = Float32Array.from([left, right, left, right].flat() as number[])
  const colours = componentColours(principalComponents(features, 4))
  const rows = [0, 1, 2, 3].map((row) => [...colours.subarray(3 * row, 3 * row + 3)].slice(0, 1))
  expect(rows[0]).toEqual(rows[2])
  expect(rows[1]).toEqual(rows[3])
  expect([rows[0]![0], rows[1]![0]].sort((a, b) => a! - b!)).toEqual([0, 255])
})
