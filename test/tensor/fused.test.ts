// The kernels against what LibTorch's operators compute of the same numbers: results and gradients, in float32 to
// rounding, in bfloat16 no further from float32 than LibTorch's own bfloat16 is.
import { describe, expect, it } from 'vitest'
import { pixelLoss } from '../../src/target/pixels.ts'
import {
  autocast,
  autocastFrozen,
  backward,
  engineBuild,
  gradient,
  noGrad,
  requireGradient,
} from '../../src/tensor/context.ts'
import { cpuBfloat16 } from '../../src/tensor/cpu.ts'
import {
  addLayerNorm,
  addLayerNormWhole,
  hasKernels,
  layerNorm,
  linear,
  mlp,
  selfAttention,
  withKernels,
} from '../../src/tensor/fused.ts'
import { narrow, sum, toDtype } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { appendRows, tokenSequence } from '../../src/token/sequence.ts'
import { expectClose, numbers, product, wave } from '../tolerance.ts'
import { cases, distance, largest, measured, patchNumbers, wb } from './fused-cases.ts'

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

describe.each(['fused', 'composed'] as const)('of models that do not learn, %s', (kernels) => {
  const [B, N, D, heads] = [2, 9, 24, 3]
  const given = (...shape: number[]) =>
    tensor(
      [...wave(product(shape))].map((x) => 3 * x),
      shape,
    )
  const within = <T>(body: () => T): T => noGrad(() => scope(() => withKernels(kernels, body)))

  it('queries and keys apart from values give what they give together', () =>
    within(() => {
      const qkv = given(B, N, 3 * D)
      const apart = [narrow(qkv, 2, 0, 2 * D), narrow(qkv, 2, 2 * D, D)] as const
      const whole = numbers(selfAttention([qkv], heads, 4))
      expectClose(numbers(selfAttention(apart, heads, 4)), whole, 1e-5)
      const half = autocastFrozen({ device: 'cpu', dtype: 'bfloat16' }, () => selfAttention(apart, heads, 4))
      expect(half.dtype).toBe('bfloat16')
      // Shares and values are rounded, once each, and so is what comes out: 3 · 2⁻⁸ of the largest value.
      expectClose(numbers(toDtype(half, 'float32')), whole, (3 * largest(numbers(apart[1]))) / 256)
    }))

  it('the norm before queries and keys is float32', () =>
    within(() => {
      const [x, change] = [given(B, N, D), given(B, N, D)]
      const norm = wb(given(D), given(D))
      const exact = addLayerNorm(x, change, norm, 1e-6)
      const frozen = { device: 'cpu', dtype: 'bfloat16' } as const
      const made = autocastFrozen(frozen, () => addLayerNormWhole(x, change, norm, 1e-6))
      for (const part of ['sum', 'normed'] as const) {
        expect(made[part].dtype).toBe('float32')
        expectClose(numbers(made[part]), numbers(exact[part]), 1e-5)
      }
    }))
})

describe('the choice of kernels', () => {
  it('is LibTorch’s operators inside of withKernels("composed"), and what it was after it', () => {
    expect(hasKernels('cpu')).toBe(true)
    expect(withKernels('composed', () => hasKernels('cpu'))).toBe(false)
    expect(() => withKernels('composed', () => JSON.parse('{'))).toThrow()
    expect(hasKernels('cpu')).toBe(true)
  })
  it('is LibTorch’s operators for types that the kernels do not take, and on a GPU where they were not compiled', () => {
    expect(hasKernels('cuda')).toBe(engineBuild().cudaKernels)
    expect(autocast({ device: 'cuda', dtype: 'float16' }, () => hasKernels('cuda'))).toBe(false)
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
    ['heads that do not divide', () => selfAttention([zeros(1, 2, 15)], 2), /multiple of 2 heads/],
    [
      'values that do not fit queries and keys',
      () => selfAttention([zeros(1, 2, 8), zeros(1, 2, 6)], 2),
      /D a multiple of 2 heads/,
    ],
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
