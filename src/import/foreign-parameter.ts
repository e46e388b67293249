/** A parameter of ours, made of another program's tensors. */

import { type FloatArray, toFloat32, type WaitingArray } from '../checkpoint/arrays.ts'
import { SherdError } from '../errors.ts'
import type { Shape } from '../tensor/tensor.ts'

export interface ForeignParameter {
  readonly shape: Shape
  readonly from: readonly string[]
  readonly read: () => Promise<Float32Array>
}

export async function floatsOf(name: string, { dtype, shape, read }: WaitingArray): Promise<FloatArray> {
  if (!['float32', 'float64', 'float16', 'bfloat16'].includes(dtype))
    throw new SherdError(
      'CHECKPOINT',
      `${name} is ${dtype}[${shape.join(', ')}], expected floating-point numbers`,
    )
  return { shape, data: toFloat32(await read(), dtype) }
}
