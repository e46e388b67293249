/** Lists of numbers in tests: making them, reading them from tensors, and comparing them with a message that says where. */
import { expect } from 'vitest'
import { Tensor, toArray } from '../src/tensor/tensor.ts'

/** A tensor of a type whose elements are numbers (not the 16-bit floats), or anything like an array. */
export type Numbers = Tensor | ArrayLike<number>

/** The elements as JavaScript numbers, row-major. */
export function numbers(x: Numbers): number[] {
  if (!(x instanceof Tensor)) return Array.from(x)
  if (x.dtype === 'bfloat16' || x.dtype === 'float16') throw new Error(`${x}: convert it to float32 first`)
  return Array.from(toArray(x) as ArrayLike<number | bigint>, Number)
}

/** Fails unless both have the same length and no two elements are further apart than `tolerance`. NaN is far from all. */
export function expectClose(actual: Numbers, expected: Numbers, tolerance: number): void {
  const [a, b] = [numbers(actual), numbers(expected)]
  expect(a.length).toBe(b.length)
  const distances = a.map((value, i) => (value === b[i] ? 0 : Math.abs(value - b[i]!)))
  const worst = distances.reduce((most, value, i) => (value <= distances[most]! ? most : i), 0)
  const where = `element ${worst} of ${a.length} is ${a[worst]}, expected ${b[worst]} ± ${tolerance}`
  expect(a.length === 0 || distances[worst]! <= tolerance, where).toBe(true)
}

/** `n` numbers in (−1, 1) without a pattern that an error could hide in; `seed` gives others. */
export function wave(n: number, seed = 0): number[] {
  return Array.from({ length: n }, (_, i) => {
    const x = Math.sin((i + 1) * 12.9898 + (seed + 1) * 78.233) * 43758.5453
    return 2 * (x - Math.floor(x)) - 1
  })
}

export const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)
