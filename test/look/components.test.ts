import { expect, it } from 'vitest'
import { componentColours, principalComponents } from '../../src/picture/components.ts'
import { callMany } from '../../src/tensor/call.ts'
import { div, matmul, sub, transpose } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { fromArray, type Tensor, toArray } from '../../src/tensor/tensor.ts'
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
  for (const [row, [x, y, z]] of points.entries())
    expectClose(
      values.map((each) => each[row]!),
      [x!, z!, y!],
      1e-12,
    )
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

it('draws grey what rounding alone makes differ', () => {
  // On a line: the second and the third component are nothing.
  const features = Float32Array.from([-2, -1, 0.3, 1, 2].flatMap((t) => [t / 3, t / 7, t / 11, t / 13]))
  const made = principalComponents(features, 4)
  expect(made.explained[0]).toBeCloseTo(1, 10)
  expect(made.explained.slice(1)).toEqual([0, 0])
  const colours = componentColours(made)
  expect([...colours].filter((_, i) => i % 3 > 0)).toEqual(new Array(10).fill(128))
})

/** The greatest eigenvalues of the covariance, by LibTorch. */
function byLibTorch(features: Float32Array, width: number): { explained: number[]; vectors: number[][] } {
  const rows = features.length / width
  const mean = new Float64Array(width)
  for (const [i, value] of features.entries()) mean[i % width]! += value / rows
  return scope(() => {
    const all = fromArray(Float64Array.from(features), [rows, width], 'float64')
    const centred = sub(all, fromArray(mean, [width], 'float64'))
    const covariance = div(matmul(transpose(centred, 0, 1), centred), rows)
    const [values, each] = (callMany('linalg_eigh', covariance, 'L') as [Tensor, Tensor]).map(
      (x) => toArray(x) as Float64Array,
    ) as [Float64Array, Float64Array] // ascending
    const total = values.reduce((a, b) => a + b)
    const last = [1, 2, 3].map((back) => width - back)
    return {
      explained: last.map((at) => values[at]! / total),
      vectors: last.map((at) => Array.from({ length: width }, (_, row) => each[row * width + at]!)),
    }
  })
}

it.each([
  ['of which a few are large', (i: number, row: number) => Math.sin(row * (i + 1)) * 0.7 ** i + (i % 7)],
  ['of which all are nearly alike', (i: number, row: number) => Math.sin(1 + row * row * (i + 1))],
])('agrees with LibTorch of features %s', (_, value) => {
  const [rows, width] = [90, 48]
  const features = Float32Array.from({ length: rows * width }, (_, at) =>
    value(at % width, Math.floor(at / width)),
  )
  const expected = byLibTorch(features, width)
  const { explained, vectors } = principalComponents(features, width)
  expectClose(explained, expected.explained, 1e-9)
  for (const [i, vector] of vectors.entries()) {
    const cosine = vector.reduce((sum, x, at) => sum + x * expected.vectors[i]![at]!, 0)
    expect(Math.abs(cosine)).toBeCloseTo(1, 8)
  }
})

it('finds two components that are equal', () => {
  // Four points of a square in the first plane, and two nearer ones on the third axis.
  const points = [
    [1, 1, 0, 0],
    [1, -1, 0, 0],
    [-1, 1, 0, 0],
    [-1, -1, 0, 0],
    [0, 0, 1, 0],
    [0, 0, -1, 0],
  ]
  const { explained, values } = principalComponents(Float32Array.from(points.flat()), 4)
  expectClose(explained, [0.4, 0.4, 0.2], 1e-12)
  for (let row = 0; row < 4; row++) expect(values[0]![row]! ** 2 + values[1]![row]! ** 2).toBeCloseTo(2, 12)
})

it('scales each component from its 1st to its 99th percentile', () => {
  const values = [(i: number) => i, (i: number) => 100 - i].map((value) =>
    Float64Array.from({ length: 101 }, (_, i) => value(i)),
  )
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
