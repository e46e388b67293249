import { expect, it } from 'vitest'
import { backward, gradient, requireGradient } from '../../src/tensor/context.ts'
import { sum } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { fromArray, tensor } from '../../src/tensor/tensor.ts'
import { take } from '../../src/token/take.ts'
import { numbers } from '../tolerance.ts'

const tokens = () => tensor([0, 1, 10, 11, 20, 21, 100, 101, 110, 111, 120, 121], [2, 3, 2])
const at = (...rows: number[][]) =>
  fromArray(BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]!.length], 'int64')

it('takes whole tokens, in the order asked for, from each image its own', () =>
  scope(() => {
    const taken = take(tokens(), at([2, 0], [1, 1]))
    expect(taken.shape).toEqual([2, 2, 2])
    expect(numbers(taken)).toEqual([20, 21, 0, 1, 110, 111, 110, 111])
  }))

it('hands gradients back to the tokens that were taken', () =>
  scope(() => {
    const x = requireGradient(tokens())
    backward(sum(take(x, at([2, 0], [1, 1]))))
    expect(numbers(gradient(x)!)).toEqual([1, 1, 0, 0, 1, 1, 0, 0, 2, 2, 0, 0])
  }))

it('refuses indices of another batch', () =>
  scope(() => {
    expect(() => take(tokens(), at([0]))).toThrow('take: indices: expected [2, K], got int64[1, 1]')
    expect(() => take(tensor([1], [1]), at([0]))).toThrow('take: tokens: expected [B, N, D], got float32[1]')
    expect(() => take(tokens(), at([3], [0]))).toThrow(/take_rows.*out of bounds/)
  }))
