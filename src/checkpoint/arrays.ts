/** Weights as plain arrays, to read and write them without LibTorch. */

import { SherdError } from '../errors.ts'
import { fromFloat16 } from '../files/float16.ts'
import type { ArrayOf, DType } from '../tensor/dtype.ts'
import type { Shape } from '../tensor/tensor.ts'

/** 16-bit floats are stored as their bits. */
export interface StoredArray {
  readonly dtype: DType
  readonly shape: Shape
  readonly data: ArrayOf<DType>
}

/** A lazily read array. */
export interface WaitingArray {
  readonly dtype: DType
  readonly shape: Shape
  readonly read: () => Promise<ArrayOf<DType>>
}

export interface FloatArray {
  readonly shape: Shape
  readonly data: Float32Array
}

/** Throws `NON_FINITE`. */
export function expectFiniteArray(name: string, data: Float32Array): void {
  const at = data.findIndex((value) => !Number.isFinite(value))
  if (at >= 0)
    throw new SherdError('NON_FINITE', `The weights are not numbers: ${name} has ${data[at]} at place ${at}.`)
}

const single = new Float32Array(1)
const bits = new Uint32Array(single.buffer)

/** A bfloat16 is the upper half of a float32. */
function fromBfloat16(half: number): number {
  bits[0] = half << 16
  return single[0]!
}

/** Floats of any width as float32. Throws `CHECKPOINT` for integers. */
export function toFloat32(data: ArrayOf<DType>, dtype: DType): Float32Array {
  switch (dtype) {
    case 'float32':
      return data as Float32Array
    case 'float64':
      return Float32Array.from(data as Float64Array)
    case 'float16':
      return Float32Array.from(data as Uint16Array, fromFloat16)
    case 'bfloat16':
      return Float32Array.from(data as Uint16Array, fromBfloat16)
    case 'uint8':
    case 'int32':
    case 'int64':
    case 'bool':
      throw new SherdError('CHECKPOINT', `expected floating-point weights, got ${dtype}`)
    default:
      return dtype satisfies never
  }
}

/** Largest absolute difference; Infinity if the lengths differ or a value is NaN. */
export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY
  let largest = 0
  for (let i = 0; i < actual.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!)
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference
  }
  return largest
}
