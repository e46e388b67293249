// The kernels against what LibTorch's operators compute of the same numbers: results and gradients, in float32 to
// rounding, in bfloat16 no further from float32 than LibTorch's own bfloat16 is.
import { describe, expect, it } from 'vitest'
import { pixelLoss } from '../../src/target/pixels.ts'
import { autocast, backward, gradient, noGrad, requireGradient } from '../../src/tensor/context.ts'
import { cpuBfloat16 } from '../../src/tensor/cpu.ts'
import type { DType } from '../../src/tensor/dtype.ts'
import {
  addLayerNorm,
  hasKernels,
  type Kernels,
  layerNorm,
  linear,
  mlp,
  selfAttention,
  withKernels,
} from '../../src/tensor/fused.ts'
import { add, mul, sum, toDtype } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { fromArray, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { appendRows, tokenSequence } from '../../src/token/sequence.ts'
import { expectClose, numbers, product, wave } from '../tolerance.ts'

type Shape = readonly number[]
interface Case {
  readonly inputs: readonly Shape[]
  readonly run: (x: readonly Tensor[]) => readonly Tensor[]
}

const wb = (weight: Tensor | undefined, bias: Tensor | undefined) => ({ weight: weight!, bias: bias! })
const patchNumbers = (rows: readonly (readonly number[])[]) =>
  fromArray(BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]!.length], 'int64')

const linearCase = (rows: Shape, input: number, output: number): Case => ({
  inputs: [[...rows, input], [output, input], [output]],
  run: ([x, w, b]) => [linear(x!, wb(w, b))],
})
const mlpCase = (rows: number, width: number, hidden: number): Case => ({
  inputs: [[rows, width], [hidden, width], [hidden], [width, hidden], [width]],
  run: ([x, w1, b1, w2, b2]) => [mlp(x!, wb(w1, b1), wb(w2, b2))],
})
const normCase = (rows: number, width: number): Case => ({
  inputs: [[rows, width], [rows, width], [width], [width]],
  run: ([x, change, w, b]) => {
    const { sum: total, normed } = addLayerNorm(x!, change!, wb(w, b), 1e-6)
    return [total, normed]
  },
})
const attentionCase = (samples: number, tokens: number, heads: number, width: number, from = 0): Case => ({
  inputs: [[samples, tokens, 3 * heads * width]],
  run: ([qkv]) => [selfAttention(mul(qkv!, 2), heads, from)],
})

// Sizes around those of vectors (16), tiles (14 rows, 32 columns) and blocks (126 queries, 1024 rows).
const cases: Record<string, Case> = {
  'linear, one of each': linearCase([1], 1, 1),
  'linear, odd sizes': linearCase([3, 5], 7, 9),
  'linear, whole tiles': linearCase([2, 14], 32, 64),
  'linear, remainders of every kind': linearCase([25], 50, 83),
  'linear, more rows than a block': linearCase([1100], 6, 5),
  'linear, rows a power of two apart': linearCase([30], 1024, 40),
  'mlp, odd sizes': mlpCase(5, 6, 22),
  'mlp, more rows than a block': mlpCase(1031, 8, 20),
  'mlp, whole tiles': mlpCase(28, 64, 128),
  'add and norm, narrower than a vector': normCase(7, 12),
  'add and norm, whole vectors': normCase(5, 64),
  'add and norm, a remainder': normCase(3, 83),
  norm: { inputs: [[4, 37], [37], [37]], run: ([x, w, b]) => [layerNorm(x!, wb(w, b), 1e-3)] },
  'attention, one token': attentionCase(2, 1, 2, 4),
  'attention, a few tokens': attentionCase(3, 5, 2, 6),
  'attention, whole tiles': attentionCase(1, 64, 1, 32),
  'attention, one token more': attentionCase(2, 65, 3, 16),
  'attention, more queries than a block': attentionCase(1, 131, 1, 10),
  'attention, the last tokens only': attentionCase(2, 21, 2, 8, 13),
  'attention, the last block only': attentionCase(1, 140, 1, 8, 127),
  'tokens with cls': {
    inputs: [
      [2, 3, 20],
      [5, 20],
      [1, 1, 20],
    ],
    run: ([x, positions, cls]) => [
      tokenSequence({
        x: x!,
        positions: positions!,
        kept: patchNumbers([
          [4, 0, 2],
          [1, 3, 4],
        ]),
        cls: cls!,
      }),
    ],
  },
  'rows of a table behind linear maps': {
    inputs: [[2, 3, 20], [5, 20], [9, 20], [9]],
    run: ([x, table, w, b]) => [
      appendRows(linear(x!, wb(w, b)), {
        table: linear(table!, wb(w, b)),
        which: patchNumbers([
          [1, 2, 3, 1],
          [0, 2, 4, 2],
        ]),
      }),
    ],
  },
  'pixel loss, normalised': {
    inputs: [
      [2, 3, 48],
      [2, 5, 48],
    ],
    run: ([x, patches]) => [
      pixelLoss(
        x!,
        patches!,
        patchNumbers([
          [0, 3, 4],
          [2, 1, 0],
        ]),
        { normalize: true },
      ),
    ],
  },
  'pixel loss, raw': {
    inputs: [
      [2, 3, 27],
      [2, 5, 27],
    ],
    run: ([x, patches]) => [
      pixelLoss(
        x!,
        patches!,
        patchNumbers([
          [0, 3, 4],
          [2, 1, 0],
        ]),
        { normalize: false },
      ),
    ],
  },
}

/** Inputs that are data, not weights: nobody asks for their gradient. */
const given: Record<string, readonly number[]> = {
  'tokens with cls': [1],
  'pixel loss, normalised': [1],
  'pixel loss, raw': [1],
}

/** Results, then gradients of a sum that weighs every result differently. */
function measured(name: string, kernels: Kernels, dtype: DType): number[][] {
  const { inputs, run } = cases[name]!
  return scope(() => {
    const tensors = inputs.map((shape, i) => tensor(wave(product(shape), i), shape))
    const learned = tensors.filter((_, i) => !given[name]?.includes(i))
    for (const x of learned) requireGradient(x)
    const results = withKernels(kernels, () => autocast({ device: 'cpu', dtype }, () => run(tensors)))
    const float = results.map((each) => toDtype(each, 'float32'))
    const losses = float.map((x, i) => sum(mul(x, tensor(wave(product(x.shape), 50 + i), x.shape))))
    backward(losses.reduce(add))
    return [...float, ...learned.map((x) => gradient(x)!)].map(numbers)
  })
}

const largest = (values: readonly number[]) => values.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
const distance = (a: readonly number[], b: readonly number[]) => largest(a.map((x, i) => x - b[i]!))

describe('float32', () => {
  it.each(Object.keys(cases))('%s', (name) => {
    const [fused, composed] = [measured(name, 'fused', 'float32'), measured(name, 'composed', 'float32')]
    expect(fused.length).toBe(composed.length)
    // float32 has 24 bits; sums over up to 1100 rows lose a few of them in either order.
    for (const [i, values] of fused.entries())
      expectClose(values, composed[i]!, 2e-6 * Math.max(1, largest(composed[i]!)))
  })
})

describe.runIf(cpuBfloat16() === 'avx512_bf16')('bfloat16', () => {
  it.each(Object.keys(cases))('%s', (name) => {
    const exact = measured(name, 'composed', 'float32')
    const [fused, composed] = [measured(name, 'fused', 'bfloat16'), measured(name, 'composed', 'bfloat16')]
    for (const [i, values] of fused.entries()) {
      const allowed = 1.5 * distance(composed[i]!, exact[i]!) + largest(exact[i]!) / 256
      expect(distance(values, exact[i]!)).toBeLessThanOrEqual(allowed)
    }
  })
})

describe('the choice of kernels', () => {
  it('is LibTorch’s operators inside of withKernels("composed"), and what it was after it', () => {
    expect(hasKernels('cpu')).toBe(true)
    expect(withKernels('composed', () => hasKernels('cpu'))).toBe(false)
    expect(() => withKernels('composed', () => JSON.parse('{'))).toThrow()
    expect(hasKernels('cpu')).toBe(true)
  })
  it('is LibTorch’s operators on a GPU and for types that the kernels do not take', () => {
    expect(hasKernels('cuda')).toBe(false)
    expect(autocast({ device: 'cpu', dtype: 'bfloat16' }, () => hasKernels('cpu'))).toBe(
      cpuBfloat16() === 'avx512_bf16',
    )
  })
})

describe('wrong arguments are refused, and the process lives on', () => {
  const zeros = (...shape: number[]) => tensor(new Array(product(shape)).fill(0), shape)
  it.each<[string, () => unknown, RegExp]>([
    ['a weight of another width', () => linear(zeros(2, 3), wb(zeros(4, 5), zeros(4))), /rows of 3 numbers/],
    ['a bias that is too short', () => linear(zeros(2, 3), wb(zeros(4, 3), zeros(3))), /bias of 4 numbers/],
    [
      'a bias that is too short, inside an MLP',
      () => mlp(zeros(2, 3), wb(zeros(8, 3), zeros(8)), wb(zeros(3, 8), zeros(2))),
      /bias of 3 numbers/,
    ],
    ['a weight that is no matrix', () => linear(zeros(2, 3), wb(zeros(3), zeros(1))), /rows of 3 numbers/],
    [
      'an MLP of no rows',
      () => mlp(zeros(0, 3), wb(zeros(8, 3), zeros(8)), wb(zeros(3, 8), zeros(3))),
      /with elements, got the shape \[0, 3\]/,
    ],
    ['rows of nothing', () => layerNorm(zeros(2, 0), wb(zeros(0), zeros(0)), 0), /with elements/],
    [
      'the bias of another norm',
      () => layerNorm(zeros(2, 3), wb(zeros(3), zeros(2)), 0),
      /a weight and a bias of 3 numbers/,
    ],
    ['heads that do not divide', () => selfAttention(zeros(1, 2, 15), 2), /multiple of 2 heads/],
    [
      'two shapes to add',
      () => addLayerNorm(zeros(2, 3), zeros(3, 3), wb(zeros(3), zeros(3)), 0),
      /one shape/,
    ],
    [
      'a patch number that does not exist',
      () =>
        tokenSequence({
          x: zeros(1, 1, 4),
          positions: zeros(3, 4),
          kept: patchNumbers([[3]]),
          cls: zeros(1, 1, 4),
        }),
      /patch 3 of 3/,
    ],
    [
      'a row that the table does not have',
      () => appendRows(zeros(1, 1, 4), { table: zeros(3, 4), which: patchNumbers([[2, 3]]) }),
      /patch 3 of 3/,
    ],
    [
      'a negative patch number',
      () => pixelLoss(zeros(1, 1, 4), zeros(1, 3, 4), patchNumbers([[-1]]), { normalize: true }),
      /patch -1 of 3/,
    ],
    [
      'a prediction of other patches',
      () => pixelLoss(zeros(1, 1, 5), zeros(1, 3, 4), patchNumbers([[1]]), { normalize: true }),
      /does not fit/,
    ],
  ])('%s', (_, run, message) => scope(() => expect(run).toThrow(message)))
})

it('gives the same gradients to a loss that is taken twice', () =>
  scope(() => {
    const x = requireGradient(tensor(wave(12), [2, 6]))
    const weights = [[8, 6], [8], [6, 8], [6]].map((shape, i) => tensor(wave(product(shape), i), shape))
    const [w1, b1, w2, b2] = weights
    const loss = () => sum(mlp(x, wb(w1, b1), wb(w2, b2)))
    backward(loss())
    const once = numbers(gradient(x)!)
    backward(loss())
    expectClose(
      gradient(x)!,
      once.map((g) => 2 * g),
      1e-5,
    )
    expect(numbers(noGrad(loss))).toEqual(numbers(noGrad(loss)))
  }))

it('a linear map of no rows gives none, and a gradient of zero', () =>
  scope(() => {
    const weight = requireGradient(tensor(wave(12), [4, 3]))
    const bias = requireGradient(tensor(wave(4), [4]))
    const y = linear(tensor([], [0, 3]), { weight, bias })
    expect(y.shape).toEqual([0, 4])
    backward(sum(y))
    expect([...numbers(gradient(weight)!), ...numbers(gradient(bias)!)]).toEqual(new Array(16).fill(0))
  }))
