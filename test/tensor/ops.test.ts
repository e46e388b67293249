import { expect, it } from 'vitest'
import { layerNorm, matmul, softmax } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor, toFloats } from '../../src/tensor/tensor.ts'

it('multiplies', () => {
  scope(() => {
    const a = tensor([1, 2, 3, 4], [2, 2])
    expect([...toFloats(matmul(a, a))]).toEqual([7, 10, 15, 22])
  })
})
