import { describe, expect, it } from 'vitest'
import { callInPlace } from '../../src/tensor/call.ts'
import { manualSeed } from '../../src/tensor/context.ts'
import * as ops from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { fromArray, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'

const integers = (values: number[], shape: number[]) =>
  fromArray(BigInt64Array.from(values, BigInt), shape, 'int64')
const grid = () => tensor([1, 2, 3, 4, 5, 6], [2, 3])

interface Case {
  readonly run: () => Tensor
  readonly shape: readonly number[]
  readonly expected: readonly number[]
  /** 0 unless given: most of these numbers are exact in float32. */
  readonly tolerance?: number
}
const exact = (run: () => Tensor, shape: number[], expected: number[]): Case => ({ run, shape, expected })
const near = (run: () => Tensor, shape: number[], expected: number[]): Case => ({
  ...exact(run, shape, expected),
  tolerance: 1e-6,
})

// Worked out by hand. The type makes a new operator without a case a compile error.
const cases: { readonly [K in keyof typeof ops]: readonly Case[] } = {
  add: [
    exact(() => ops.add(grid(), tensor([10, 20, 30], [3])), [2, 3], [11, 22, 33, 14, 25, 36]),
    exact(() => ops.add(grid(), 0.5), [2, 3], [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]),
  ],
  sub: [
    exact(() => ops.sub(grid(), tensor([1, 2], [2, 1])), [2, 3], [0, 1, 2, 2, 3, 4]),
    exact(() => ops.sub(grid(), 1), [2, 3], [0, 1, 2, 3, 4, 5]),
  ],
  mul: [
    exact(() => ops.mul(grid(), grid()), [2, 3], [1, 4, 9, 16, 25, 36]),
    exact(() => ops.mul(grid(), -2), [2, 3], [-2, -4, -6, -8, -10, -12]),
  ],
  div: [
    exact(() => ops.div(tensor([1, 6], [2]), tensor([4, 3], [2])), [2], [0.25, 2]),
    exact(() => ops.div(tensor([1, 6], [2]), 4), [2], [0.25, 1.5]),
  ],
  square: [exact(() => ops.square(tensor([-3, 0.5], [2])), [2], [9, 0.25])],
  sqrt: [exact(() => ops.sqrt(tensor([9, 0.25, 0], [3])), [3], [3, 0.5, 0])],
  abs: [exact(() => ops.abs(tensor([-3, 2, 0], [3])), [3], [3, 2, 0])],
  sum: [exact(() => ops.sum(grid()), [], [21])],
  mean: [exact(() => ops.mean(grid()), [], [3.5])],
  all: [
    exact(() => ops.all(tensor([1, 2], [2])), [], [1]),
    exact(() => ops.all(tensor([1, 0], [2])), [], [0]),
  ],
  max: [exact(() => ops.max(tensor([-3, 7, 2], [3])), [], [7])],
  meanOver: [
    exact(() => ops.meanOver(grid(), [0]), [3], [2.5, 3.5, 4.5]),
    exact(() => ops.meanOver(grid(), [-1], true), [2, 1], [2, 5]),
  ],
  varianceOver: [
    // 1, 2, 4: mean 7/3, squared distances 16/9 + 1/9 + 25/9 = 42/9.
    near(() => ops.varianceOver(tensor([1, 2, 4], [1, 3]), [1], { unbiased: true }), [1], [42 / 9 / 2]),
    near(
      () => ops.varianceOver(tensor([1, 2, 4], [1, 3]), [1], { unbiased: false, keepDim: true }),
      [1, 1],
      [42 / 9 / 3],
    ),
  ],
  matmul: [exact(() => ops.matmul(grid(), tensor([1, 0, 0, 1, 1, 1], [3, 2])), [2, 2], [4, 5, 10, 11])],
  linear: [
    // Rows of the weight are the outputs: (1, 2, 3)·(1, 0, −1) + 10 = 8, (1, 2, 3)·(2, 1, 0) + 20 = 24.
    exact(
      () => ops.linear(grid(), tensor([1, 0, -1, 2, 1, 0], [2, 3]), tensor([10, 20], [2])),
      [2, 2],
      [8, 24, 8, 33],
    ),
    exact(() => ops.linear(grid(), tensor([1, 0, -1], [1, 3])), [2, 1], [-2, -2]),
  ],
  // x · Φ(x) with the exact normal distribution, not its tanh approximation (which gives 0.841192 at 1).
  gelu: [
    near(
      () => ops.gelu(tensor([-2, 0, 0.5, 1], [4])),
      [4],
      [-0.045500263896, 0, 0.345731230637, 0.841344746069],
    ),
  ],
  sigmoid: [near(() => ops.sigmoid(tensor([0, Math.log(3), -Math.log(4)], [3])), [3], [0.5, 0.75, 0.2])],
  softmax: [
    near(() => ops.softmax(tensor([0, Math.log(3), 5, 5], [2, 2]), 1), [2, 2], [0.25, 0.75, 0.5, 0.5]),
    near(() => ops.softmax(tensor([0, 7, Math.log(3), 7], [2, 2]), 0), [2, 2], [0.25, 0.5, 0.75, 0.5]),
  ],
  layerNorm: [
    // 1, 3: mean 2, biased variance 1; with ε = 3 the deviation is 2, so ∓0.5 before weight and bias.
    exact(
      () => ops.layerNorm(tensor([1, 3], [1, 2]), tensor([2, 4], [2]), tensor([10, 20], [2]), 3),
      [1, 2],
      [9, 22],
    ),
  ],
  reshape: [exact(() => ops.reshape(grid(), [3, -1]), [3, 2], [1, 2, 3, 4, 5, 6])],
  permute: [exact(() => ops.permute(grid(), [1, 0]), [3, 2], [1, 4, 2, 5, 3, 6])],
  transpose: [exact(() => ops.transpose(grid(), -1, -2), [3, 2], [1, 4, 2, 5, 3, 6])],
  expand: [exact(() => ops.expand(tensor([1, 2], [2, 1]), [2, 3]), [2, 3], [1, 1, 1, 2, 2, 2])],
  narrow: [exact(() => ops.narrow(grid(), 1, 1, 2), [2, 2], [2, 3, 5, 6])],
  select: [exact(() => ops.select(grid(), 0, -1), [3], [4, 5, 6])],
  unsqueeze: [exact(() => ops.unsqueeze(grid(), 1), [2, 1, 3], [1, 2, 3, 4, 5, 6])],
  unbind: [
    exact(() => ops.unbind(grid(), 1)[2]!, [2], [3, 6]),
    exact(() => ops.cat(ops.unbind(grid(), 0).reverse(), 0), [6], [4, 5, 6, 1, 2, 3]),
  ],
  cat: [exact(() => ops.cat([grid(), ops.zeros([2, 1])], 1), [2, 4], [1, 2, 3, 0, 4, 5, 6, 0])],
  contiguous: [exact(() => ops.contiguous(ops.permute(grid(), [1, 0])), [3, 2], [1, 4, 2, 5, 3, 6])],
  detach: [exact(() => ops.detach(grid()), [2, 3], [1, 2, 3, 4, 5, 6])],
  clone: [exact(() => ops.clone(grid()), [2, 3], [1, 2, 3, 4, 5, 6])],
  indexSelect: [
    exact(() => ops.indexSelect(grid(), 1, integers([2, 0, 2], [3])), [2, 3], [3, 1, 3, 6, 4, 6]),
  ],
  gather: [exact(() => ops.gather(grid(), 1, integers([2, 0, 1, 1], [2, 2])), [2, 2], [3, 1, 5, 5])],
  argsort: [exact(() => ops.argsort(tensor([3, 1, 3, 1, 2], [1, 5]), 1), [1, 5], [1, 3, 4, 0, 2])],
  scatterValue: [
    exact(() => ops.scatterValue(grid(), 1, integers([0, 2], [2, 1]), 9), [2, 3], [9, 2, 3, 4, 5, 9]),
  ],
  zeros: [exact(() => ops.zeros([2], { dtype: 'int32' }), [2], [0, 0])],
  ones: [exact(() => ops.ones([2, 1]), [2, 1], [1, 1])],
  full: [exact(() => ops.full([2], 2.5, { dtype: 'float64' }), [2], [2.5, 2.5])],
  arange: [exact(() => ops.arange(4), [4], [0, 1, 2, 3])],
  // Its distribution is tested in model/parameters; here that it draws what the seed says and has a spread.
  randn: [
    exact(
      () => {
        manualSeed(5)
        const first = ops.randn([3])
        manualSeed(5)
        return ops.sub(ops.randn([3]), first)
      },
      [3],
      [0, 0, 0],
    ),
  ],
  zerosLike: [exact(() => ops.zerosLike(integers([4, 5], [1, 2])), [1, 2], [0, 0])],
  toDtype: [exact(() => ops.toDtype(tensor([1.9, -1.9], [2]), 'int32'), [2], [1, -1])],
  toDevice: [exact(() => ops.toDevice(grid(), 'cpu'), [2, 3], [1, 2, 3, 4, 5, 6])],
  attentionShares: [
    near(
      () =>
        ops.attentionShares(
          tensor([1, 0, 0, 0], [1, 1, 1, 4]),
          tensor([0, 0, 0, 0, 2 * Math.log(3), 0, 0, 0, 0, 0, 0, 0], [1, 1, 3, 4]),
          tensor([Math.log(4), 0, Number.NEGATIVE_INFINITY], [1, 1, 1, 3]), // 4 : 3 : 0
        ),
      [1, 1, 1, 3],
      [4 / 7, 3 / 7, 0],
    ),
  ],
  attention: [
    // One head of width 4, so scores are divided by 2: (0, 2 ln 3) / 2 → weights (1/4, 3/4).
    near(
      () =>
        ops.attention(
          tensor([1, 0, 0, 0], [1, 1, 1, 4]),
          tensor([0, 0, 0, 0, 2 * Math.log(3), 0, 0, 0], [1, 1, 2, 4]),
          tensor([4, 8, 0, 0, 8, 0, 4, 0], [1, 1, 2, 4]),
        ),
      [1, 1, 1, 4],
      [7, 2, 3, 0],
    ),
  ],
}

describe.each(Object.entries(cases))('%s', (_, each) => {
  it.each(each.map((one, i) => [i + 1, one] as const))(
    'by hand, %i',
    (__, { run, shape, expected, tolerance }) =>
      scope(() => {
        const result = run()
        expect(result.shape).toEqual(shape)
        expectClose(result, expected, tolerance ?? 0)
      }),
  )
})

describe('element types', () => {
  it.each(['float32', 'float64', 'int32', 'int64', 'uint8', 'bool', 'float16', 'bfloat16'] as const)(
    'creates %s',
    (dtype) => scope(() => expect(ops.ones([3], { dtype }).dtype).toBe(dtype)),
  )

  it('rounds to bfloat16 and back: eight significant bits, ties to even', () =>
    scope(() => {
      const x = tensor([1 + 2 ** -8, 1 + 3 * 2 ** -8, 3.14159274], [3])
      expect(numbers(ops.toDtype(ops.toDtype(x, 'bfloat16'), 'float32'))).toEqual([1, 1 + 2 ** -6, 3.140625])
    }))

  it('refuses a name that is none', () => {
    expect(() => ops.zeros([1], { dtype: 'float8' as never })).toThrow(/Unknown dtype "float8"; known: uint8/)
    expect(() => ops.toDtype(tensor([1], [1]), 'toString' as never)).toThrow(/Unknown dtype "toString"/)
  })
})

describe('views and copies', () => {
  it('clone copies, detach and reshape look at the same memory', () =>
    scope(() => {
      const x = tensor([1, 2], [2])
      const [copy, detached, reshaped] = [ops.clone(x), ops.detach(x), ops.reshape(x, [2, 1])]
      callInPlace('add_.Scalar', x, 10)
      expect([copy, detached, reshaped].map(numbers)).toEqual([
        [1, 2],
        [11, 12],
        [11, 12],
      ])
    }))

  it('toDevice gives the tensor itself where it is already there', () =>
    scope(() => {
      const x = grid()
      expect(ops.toDevice(x, 'cpu')).toBe(x)
    }))

  it('attention does not mix heads or images', () =>
    scope(() => {
      const shape = [2, 3, 4, 2] // [B, A, N, d]
      const [q, k, v] = [0, 1, 2].map((seed) => tensor(wave(48, seed), shape)) as [Tensor, Tensor, Tensor]
      const whole = numbers(ops.attention(q, k, v))
      const part = (x: Tensor, b: number, a: number) => ops.narrow(ops.narrow(x, 0, b, 1), 1, a, 1)
      for (const b of [0, 1])
        for (const a of [0, 1, 2]) {
          const alone = ops.attention(part(q, b, a), part(k, b, a), part(v, b, a))
          expectClose(alone, whole.slice((b * 3 + a) * 8, (b * 3 + a + 1) * 8), 1e-6)
        }
    }))
})
