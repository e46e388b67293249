import { expect, it } from 'vitest'
import { classesAtOwnSize } from '../../src/evaluate/own-size.ts'

const at = (
  parts: Parameters<typeof classesAtOwnSize>[0],
  size: { width: number; height: number },
  model = { width: 2, height: 1 },
) => [...classesAtOwnSize(parts, { size, model, classes: 2 })]

it('enlarges logits, not classes, with pixel centres at halves', () => {
  // Class 1 beside class 0, 2 → 8 pixels: class 0 falls from 3 to -1 and is 0 at three quarters of the way between the two centres, which are at 2 and 6.
  const logits = Float32Array.of(3, -1, 0, 0)
  const box = { left: 0, top: 0, width: 8, height: 1 }
  // Centres of pixels at 0.5 … 7.5: class 0 is 3, 3, 2.5, 1.5, 0.5, -0.5, -1, -1. Enlarging classes would change at 4.
  expect(at([{ box, logits }], { width: 8, height: 1 })).toEqual([0, 0, 0, 0, 0, 1, 1, 1])
  expect(at([{ box, logits: Float32Array.of(0, 0, 0, 0) }], { width: 8, height: 1 })).toEqual(
    new Array(8).fill(0),
  )
})

it('puts rows and columns where they belong in an image that is no square', () => {
  // 2 × 2 logits, class 1 below; 3 pixels wide, 4 high.
  const logits = Float32Array.of(1, 1, -1, -1, 0, 0, 0, 0)
  const box = { left: 0, top: 0, width: 3, height: 4 }
  expect(at([{ box, logits }], { width: 3, height: 4 }, { width: 2, height: 2 })).toEqual([
    ...[0, 0, 0, 0, 0, 0],
    ...[1, 1, 1, 1, 1, 1],
  ])
})

it('averages overlapping windows, whose weights fall towards their edges', () => {
  // 6 pixels, windows of 4 at 0 and 2. The first says class 0 by 1 everywhere, the second class 1 by 1.
  const [first, second] = [Float32Array.of(1, 1, 0, 0), Float32Array.of(0, 0, 1, 1)]
  const parts = [
    { box: { left: 0, top: 0, width: 4, height: 1 }, logits: first },
    { box: { left: 2, top: 0, width: 4, height: 1 }, logits: second },
  ]
  // Pixel 2: weights 1.5 and 0.5 of 4; pixel 3: 0.5 and 1.5.
  expect(at(parts, { width: 6, height: 1 })).toEqual([0, 0, 0, 1, 1, 1])
  const strong = [parts[0]!, { ...parts[1]!, logits: second.map((x) => 4 * x) }]
  expect(at(strong, { width: 6, height: 1 })).toEqual([0, 0, 1, 1, 1, 1]) // 0.5 · 4 > 1.5
})

it('lets a lone window reach the edges of an image that is a little larger', () => {
  const box = { left: 1, top: 0, width: 4, height: 1 }
  expect(at([{ box, logits: Float32Array.of(1, -1, 0, 0) }], { width: 6, height: 1 })).toEqual([
    0, 0, 0, 1, 1, 1,
  ])
})
