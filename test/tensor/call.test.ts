import { describe, expect, it } from 'vitest'
import { SherdError } from '../../src/errors.ts'
import { call, callInPlace, callMany, callRaw, hasOperator } from '../../src/tensor/call.ts'
import * as ops from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { fromArray, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { numbers } from '../tolerance.ts'

/** The error of a body that must fail. */
function failure(body: () => unknown): SherdError {
  try {
    scope(body)
  } catch (error) {
    expect(error).toBeInstanceOf(SherdError)
    return error as SherdError
  }
  throw new Error('it did not fail')
}

const grid = () => tensor([1, 2, 3, 4, 5, 6], [2, 3])
const index = (...values: number[]) =>
  fromArray(BigInt64Array.from(values, BigInt), [1, values.length], 'int64')

describe('a failing operator names itself and the shapes of its arguments', () => {
  const failing: [operator: string, shown: string, run: () => unknown][] = [
    ['add.Tensor', '(float32[2, 3], float32[2])', () => ops.add(grid(), tensor([1, 2], [2]))],
    ['sub.Tensor', '(float32[2, 3], float32[2])', () => ops.sub(grid(), tensor([1, 2], [2]))],
    ['mul.Tensor', '(float32[2, 3], float32[2])', () => ops.mul(grid(), tensor([1, 2], [2]))],
    ['div.Tensor', '(float32[2, 3], float32[2])', () => ops.div(grid(), tensor([1, 2], [2]))],
    ['max', '(float32[0])', () => ops.max(ops.zeros([0]))],
    ['mean', '(int64[1, 1])', () => ops.mean(index(1))],
    ['mean.dim', '(float32[2, 3], [2], false)', () => ops.meanOver(grid(), [2])],
    ['var.dim', '(float32[2, 3], [5], true, false)', () => ops.varianceOver(grid(), [5], { unbiased: true })],
    ['matmul', '(float32[2, 3], float32[2, 3])', () => ops.matmul(grid(), grid())],
    ['linear', '(float32[2, 3], float32[1, 2], null)', () => ops.linear(grid(), tensor([1, 2], [1, 2]))],
    ['softmax.int', '(float32[2, 3], 2, null)', () => ops.softmax(grid(), 2)],
    [
      'layer_norm',
      '(float32[2, 3], [2], float32[2], float32[2], 0.1)',
      () => ops.layerNorm(grid(), tensor([1, 2], [2]), tensor([1, 2], [2]), 0.1),
    ],
    ['reshape', '(float32[2, 3], [4])', () => ops.reshape(grid(), [4])],
    ['reshape', '(float32[2, 3], [1, 2, 3, 4, … 6 in all])', () => ops.reshape(grid(), [1, 2, 3, 4, 5, 6])],
    ['permute', '(float32[2, 3], [0, 0])', () => ops.permute(grid(), [0, 0])],
    ['transpose.int', '(float32[2, 3], 0, 2)', () => ops.transpose(grid(), 0, 2)],
    ['expand', '(float32[2, 3], [4, 3])', () => ops.expand(grid(), [4, 3])],
    ['narrow', '(float32[2, 3], 0, 1, 2)', () => ops.narrow(grid(), 0, 1, 2)],
    ['select.int', '(float32[2, 3], 1, 3)', () => ops.select(grid(), 1, 3)],
    ['unsqueeze', '(float32[2, 3], 4)', () => ops.unsqueeze(grid(), 4)],
    ['unbind.int', '(float32[2, 3], 2)', () => ops.unbind(grid(), 2)],
    ['cat', '([float32[2, 3], float32[2]], 0)', () => ops.cat([grid(), tensor([1, 2], [2])], 0)],
    ['cat', '([], 0)', () => ops.cat([], 0)],
    ['index_select', '(float32[2, 3], 0, int64[1, 1])', () => ops.indexSelect(grid(), 0, index(0))],
    ['gather', '(float32[2, 3], 1, int64[1, 2])', () => ops.gather(grid(), 1, index(0, 3))],
    ['gather', '(float32[2, 3], 1, int64[1, 1])', () => ops.gather(grid(), 1, index(-1))],
    ['sort.stable', '(float32[2, 3], true, 2, false)', () => ops.argsort(grid(), 2)],
    ['scatter.value', '(float32[2, 3], 1, int64[1, 1], 0)', () => ops.scatterValue(grid(), 1, index(3), 0)],
    ['zeros', '([-1], 6, null, cpu, null)', () => ops.zeros([-1])],
    ['ones', '([2], 6, null, nowhere, null)', () => ops.ones([2], { device: 'nowhere' })],
    ['arange', '(-1, 4, null, cpu, null)', () => ops.arange(-1, { dtype: 'int64' })],
    ['to.device', '(float32[2, 3], nowhere, 6)', () => ops.toDevice(grid(), 'nowhere')],
    ['gelu', '(int64[1, 1])', () => ops.gelu(index(1))],
  ]
  it.each(failing)('%s%s', (operator, shown, run) => {
    const { code, message, cause } = failure(run)
    expect(code).toBe('TENSOR')
    expect(message.slice(0, message.indexOf(': '))).toBe(`aten::${operator}${shown}`)
    expect(message.length).toBeGreaterThan(operator.length + shown.length + 10)
    expect(message).not.toContain('Exception raised from') // LibTorch's own stack
    expect(cause).toBeInstanceOf(Error)
  })
})

describe('arguments are checked against the schema', () => {
  const bad: [name: string, pattern: RegExp, run: () => unknown][] = [
    ['a number for a tensor', /argument "self": expected a tensor, got the number 0/, () => call('abs', 0)],
    [
      'a string for a tensor',
      /argument "self": expected a tensor, got the string "x"/,
      () => call('abs', 'x'),
    ],
    ['an array for a tensor', /argument "self": expected a tensor, got an array/, () => call('abs', [1])],
    ['nothing for a tensor', /argument "self": expected a tensor, got undefined/, () => call('abs')],
    ['null for a tensor', /argument "self": expected a tensor, got null/, () => call('abs', null)],
    [
      'a number in a list of tensors',
      /argument "tensors": expected a tensor/,
      () => call('cat', [grid(), 1]),
    ],
    [
      'a tensor for a number',
      /argument "end": expected a number, got a tensor/,
      () => call('arange', grid()),
    ],
    [
      'a tensor for a dimension',
      /argument "dim": expected an integer, got a tensor/,
      () => call('softmax.int', grid(), grid()),
    ],
    ['a tensor for a shape', /argument "shape": expected an array/, () => call('reshape', grid(), grid())],
    ['a tensor in a shape', /argument "shape": expected an integer/, () => call('reshape', grid(), [grid()])],
    [
      'a fraction for an integer',
      /expected an integer, got the number 0.5/,
      () => call('select.int', grid(), 0.5, 0),
    ],
    [
      'NaN for an integer',
      /expected an integer, got the number NaN/,
      () => call('unsqueeze', grid(), Number.NaN),
    ],
    ['a number for a flag', /expected a boolean, got the number 1/, () => call('mean.dim', grid(), [0], 1)],
    ['a number for a device', /expected a device such as "cpu"/, () => call('zeros', [1], 6, null, 0)],
    ['too many', /takes 1 arguments, got 2/, () => call('abs', grid(), 1)],
  ]
  it.each(bad)('%s', (_, pattern, run) => expect(failure(run).message).toMatch(pattern))

  it('leaves out what has a default', () =>
    scope(() => expect(numbers(call('add.Tensor', tensor([1], [1]), tensor([2], [1])))).toEqual([3])))

  it('passes a whole number to a scalar as an integer, so that integers stay integers', () =>
    scope(() => {
      const x = fromArray(Int32Array.of(7), [1], 'int32')
      expect([ops.mul(x, 2).dtype, ops.mul(x, 2.5).dtype]).toEqual(['int32', 'float32'])
    }))
})

describe('operators by name', () => {
  it('knows which there are', () => {
    expect([hasOperator('add.Tensor'), hasOperator('add.Nothing'), hasOperator('nothing')]).toEqual([
      true,
      false,
      false,
    ])
  })

  it('says which LibTorch lacks one', () => {
    expect(failure(() => call('nothing')).message).toMatch(
      /^This LibTorch \(\d+\.\d+.*\) has no operator aten::nothing$/,
    )
  })

  it('tells one result from several', () => {
    expect(failure(() => call('sort.stable', grid(), true, 0, false)).message).toMatch(
      /does not return one tensor/,
    )
    expect(failure(() => callMany('abs', grid())).message).toMatch(/does not return several tensors/)
  })

  it('callInPlace changes its argument and keeps nothing', () =>
    scope(() => {
      const x = tensor([1, 2], [2])
      const before = liveTensors()
      callInPlace('mul_.Scalar', x, 3)
      callInPlace('_foreach_add_.Scalar', [x], 1)
      expect(numbers(x)).toEqual([4, 7])
      expect(liveTensors()).toBe(before)
    }))

  it('callMany gives every result, and null for one that is undefined', () =>
    scope(() => {
      const [values, order] = callMany('sort.stable', tensor([3, 1, 2], [3]), true, 0, true) as [
        Tensor,
        Tensor,
      ]
      expect([numbers(values), numbers(order)]).toEqual([
        [3, 2, 1],
        [0, 2, 1],
      ])
      // The second result, the gradient of the weight, is masked out.
      const x = grid()
      const w = tensor([1, 1, 1], [3])
      const [, m, r] = callMany('native_layer_norm', x, [3], w, w, 1e-6)
      const grads = callMany('native_layer_norm_backward', x, x, [3], m!, r!, w, w, [true, false, true])
      expect(grads.map((each) => each?.shape ?? null)).toEqual([[2, 3], null, [3]])
      expect(numbers(grads[2]!)).toEqual([5, 7, 9])
    }))

  it('callRaw passes plain results through', () =>
    scope(() => expect(callRaw('equal', [grid(), grid()])).toBe(true)))
})
