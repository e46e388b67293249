// Against weights by hand.
import { expect, it } from 'vitest'
import { onGrid, resizedPixels } from '../../src/target/resized.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { expectClose, numbers } from '../tolerance.ts'

it('a map of features is enlarged between the centres of its patches, and its edges stay', () =>
  expectClose(onGrid(tensor([0, 1], [1, 2, 1]), { h: 1, w: 2 }, { h: 1, w: 4 }), [0, 0.25, 0.75, 1], 1e-6))

it('it is shrunk with antialiasing', () => {
  // A triangle of two places on each side: 3/4, 3/4, 1/4 of the first three, over their sum.
  const first = (0.75 * 0 + 0.75 * 1 + 0.25 * 2) / 1.75
  expectClose(
    onGrid(tensor([0, 1, 2, 3], [1, 4, 1]), { h: 1, w: 4 }, { h: 1, w: 2 }),
    [first, 3 - first],
    1e-6,
  )
})

it('rows are rows: each number of a token by itself', () => {
  const tokens = tensor([0, 10, 1, 11, 2, 12, 3, 13], [1, 4, 2]) // 2 × 2 patches
  expectClose(onGrid(tokens, { h: 2, w: 2 }, { h: 1, w: 2 }), [1, 11, 2, 12], 1e-5)
})

it('pixels are bicubic (Keys, a = −0.5), each channel by itself', () => {
  const pixels = tensor([0, 0, 1, 0, 0, 0, 0, 5, 0, 0], [1, 1, 2, 1, 5])
  const made = resizedPixels(pixels, [1, 10])
  expect(made.shape).toEqual([1, 1, 2, 1, 10])
  // Distances of a quarter and three quarters from the middle of five: 1.5 d³ − 2.5 d² + 1; further out −0.5 d³ + 2.5 d² − 4 d + 2.
  const near = (d: number) => 1.5 * d ** 3 - 2.5 * d ** 2 + 1
  const far = (d: number) => -0.5 * d ** 3 + 2.5 * d ** 2 - 4 * d + 2
  const half = [far(1.75), far(1.25), near(0.75), near(0.25)]
  const row = [0, half[0]!, half[1]!, half[2]!, half[3]!, half[3]!, half[2]!, half[1]!, half[0]!, 0]
  // At the edge the weights that are outside are left out, and the others sum to one.
  const inner = (values: readonly number[]) => values.slice(3, 7)
  const values = Array.from({ length: 20 }, (_, i) => row[i % 10]! * (i < 10 ? 1 : 5))
  const got = numbers(made)
  expectClose(inner(got), inner(values), 1e-5)
  expectClose(inner(got.slice(10)), inner(values.slice(10)), 1e-5)
})

it('what has the size already is the same tensor', () => {
  const pixels = tensor([1, 2, 3, 4], [1, 1, 1, 2, 2])
  expect(resizedPixels(pixels, [2, 2])).toBe(pixels)
})
