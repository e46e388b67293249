import { afterEach, describe, expect, it } from 'vitest'
import { SherdError } from '../../src/errors.ts'
import { call } from '../../src/tensor/call.ts'
import {
  autocast,
  backward,
  clearGradients,
  engineBuild,
  gradient,
  manualSeed,
  noGrad,
  requireGradient,
  setThreads,
  synchronize,
} from '../../src/tensor/context.ts'
import { findLibTorch } from '../../src/tensor/libtorch.ts'
import { attention, layerNorm, linear, mul, randn, square, sum, toDtype } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { fromArray, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { numbers } from '../tolerance.ts'

const failure = (body: () => unknown): SherdError => {
  try {
    body()
  } catch (error) {
    expect(error).toBeInstanceOf(SherdError)
    return error as SherdError
  }
  throw new Error('it did not fail')
}
const leaf = (...values: number[]) => requireGradient(tensor(values, [values.length]))
/** Whether what is computed now is recorded for `backward`. */
const records = (x: Tensor) => {
  try {
    backward(sum(x))
    return true
  } catch {
    return false
  }
}

describe('gradients', () => {
  it('are those of the loss: d(x²)/dx = 2x', () =>
    scope(() => {
      const x = leaf(1, -3)
      expect(gradient(x)).toBeNull()
      backward(sum(square(x)))
      expect(numbers(gradient(x)!)).toEqual([2, -6])
    }))

  it('add up until they are cleared', () =>
    scope(() => {
      const x = leaf(1, -3)
      backward(sum(square(x)))
      backward(sum(mul(x, 10)))
      expect(numbers(gradient(x)!)).toEqual([12, 4])
      clearGradients([x])
      expect(gradient(x)).toBeNull()
      backward(sum(mul(x, 10)))
      expect(numbers(gradient(x)!)).toEqual([10, 10])
    }))

  it('are not collected for a tensor that stopped asking', () =>
    scope(() => {
      const [x, y] = [leaf(1), leaf(2)]
      requireGradient(x, false)
      backward(sum(mul(x, y)))
      expect([gradient(x), numbers(gradient(y)!)]).toEqual([null, [1]])
    }))

  const refused: [string, RegExp, () => unknown][] = [
    [
      'a loss of two numbers',
      /^backward\(float32\[2\]\): .*only for scalar/,
      () => backward(mul(leaf(1, 2), 2)),
    ],
    [
      'a loss without a graph',
      /^backward\(float32\[1\]\): .*does not require grad/,
      () => backward(tensor([1], [1])),
    ],
    [
      'the same loss twice',
      /^backward\(float32\[\]\): .*second time/,
      () => {
        const loss = sum(square(leaf(1)))
        backward(loss)
        backward(loss)
      },
    ],
    [
      'a gradient of integers',
      /^requireGradient\(int32\[1\]\): .*floating point/,
      () => requireGradient(fromArray(Int32Array.of(1), [1], 'int32')),
    ],
  ]
  it.each(refused)('refuse %s', (_, pattern, body) => {
    const { code, message } = failure(() => scope(body))
    expect(code).toBe('TENSOR')
    expect(message).toMatch(pattern)
  })
})

describe('noGrad', () => {
  it('records nothing inside, and again afterwards', () =>
    scope(() => {
      const x = leaf(2)
      expect(records(noGrad(() => square(x)))).toBe(false)
      expect(records(square(x))).toBe(true)
    }))

  it('is still on after an inner one, and off after an exception', () =>
    scope(() => {
      const x = leaf(2)
      noGrad(() => {
        noGrad(() => 1)
        expect(records(square(x))).toBe(false)
        expect(() =>
          noGrad(() => {
            throw new RangeError('mine')
          }),
        ).toThrow('mine')
        expect(records(square(x))).toBe(false)
      })
      expect(() =>
        noGrad(() => {
          throw new RangeError('mine')
        }),
      ).toThrow(RangeError)
      expect(records(square(x))).toBe(true)
    }))
})

describe('autocast', () => {
  // 1 + 2⁻⁸ is not a bfloat16 number: it becomes 1.
  const x = () => tensor([1 + 2 ** -8], [1, 1])
  const product = () => linear(x(), tensor([1], [1, 1]))
  const bf16 = <T>(body: () => T) => autocast({ device: 'cpu', dtype: 'bfloat16' }, body)

  it('takes products in bfloat16', () =>
    scope(() => {
      const result = bf16(product)
      expect([result.dtype, numbers(toDtype(result, 'float32'))]).toEqual(['bfloat16', [1]])
      const q = tensor([1, 2, 3, 4], [1, 1, 2, 2])
      expect(bf16(() => attention(q, q, q)).dtype).toBe('bfloat16')
    }))

  it('takes layer norm in float32, and the loss also of bfloat16 numbers', () =>
    scope(() => {
      const one = tensor([1, 1], [2])
      const [norm, loss] = bf16(() => {
        return [
          layerNorm(tensor([1, 1 + 2 ** -12], [1, 2]), one, one, 0),
          call('mse_loss', toDtype(x(), 'bfloat16'), x()),
        ] as const
      })
      expect([norm.dtype, numbers(norm)]).toEqual(['float32', [0, 2]])
      expect([loss.dtype, numbers(loss)]).toEqual(['float32', [2 ** -16]])
    }))

  it('gives float32 gradients of float32 weights', () =>
    scope(() => {
      const weight = requireGradient(tensor([2], [1, 1]))
      backward(bf16(() => sum(toDtype(linear(tensor([3], [1, 1]), weight), 'float32'))))
      const found = gradient(weight)!
      expect([found.dtype, numbers(found)]).toEqual(['float32', [3]])
    }))

  it('is as before after the body, after an exception, and after an inner one', () =>
    scope(() => {
      bf16(() => 1)
      expect(product().dtype).toBe('float32')
      expect(() =>
        bf16(() => {
          throw new RangeError('mine')
        }),
      ).toThrow(RangeError)
      expect(product().dtype).toBe('float32')
      bf16(() => {
        bf16(() => 1)
        expect(product().dtype).toBe('bfloat16')
        autocast({ device: 'cuda', dtype: 'float16' }, () => 1) // another switch
        expect(product().dtype).toBe('bfloat16')
      })
      expect(product().dtype).toBe('float32')
    }))

  it('does nothing for float32', () =>
    scope(() =>
      expect(numbers(autocast({ device: 'cpu', dtype: 'float32' }, product))).toEqual([1 + 2 ** -8]),
    ))

  it('refuses other types and devices', () => {
    expect(() => autocast({ device: 'cpu', dtype: 'int64' }, product)).toThrow(
      /expected bfloat16, float16 or float32, got int64/,
    )
    expect(failure(() => autocast({ device: 'nowhere', dtype: 'bfloat16' }, product)).message).toMatch(
      /^autocast: .*nowhere/,
    )
    scope(() => expect(product().dtype).toBe('float32'))
  })
})

describe('manualSeed', () => {
  it('repeats what is drawn', () =>
    scope(() => {
      const drawn = (seed: number) => {
        manualSeed(seed)
        return [...numbers(randn([4])), ...numbers(randn([3]))]
      }
      expect(drawn(3)).toEqual(drawn(3))
      expect(drawn(3)).not.toEqual(drawn(4))
    }))

  it.each([-1, 0.5, Number.NaN, 2 ** 53])('refuses %d', (seed) =>
    expect(failure(() => manualSeed(seed)).message).toContain(`got ${seed}`),
  )
})

describe('setThreads', () => {
  const before = engineBuild().threads
  afterEach(() => setThreads(before))

  it('sets them', () => {
    setThreads(1)
    expect(engineBuild().threads).toBe(1)
    setThreads(2)
    expect(engineBuild().threads).toBe(2)
  })

  it.each([0, -1, 1.5, Number.NaN, 1e9, '2' as never])('refuses %s', (threads) => {
    expect(failure(() => setThreads(threads)).message).toMatch(/^setThreads: expected .*, got the/)
    expect(engineBuild().threads).toBe(before)
  })
})

describe('the engine', () => {
  it('was built for the LibTorch that is found', () => {
    const { version, configuration } = engineBuild()
    expect(version).toBe(findLibTorch().libtorch?.version)
    expect(configuration).toContain('PyTorch built with')
  })

  it('waits for the processor at once, and for no device that is not there', () => {
    expect(synchronize('cpu')).toBeUndefined()
    if (engineBuild().cudaDevices === 0)
      expect(failure(() => synchronize('cuda')).message).toBe('synchronize: no cuda device')
    expect(failure(() => synchronize('nonsense')).message).toMatch(/^synchronize: .*nonsense/)
  })
})
