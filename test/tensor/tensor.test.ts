import { describe, expect, it } from 'vitest'
import { SherdError } from '../../src/errors.ts'
import { call } from '../../src/tensor/call.ts'
import { backward, gradient, requireGradient } from '../../src/tensor/context.ts'
import { dtypes } from '../../src/tensor/dtype.ts'
import { add, expand, narrow, permute, toDtype } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { fromArray, item, Tensor, tensor, toArray, toFloats } from '../../src/tensor/tensor.ts'

const failure = (body: () => unknown): SherdError => {
  try {
    body()
  } catch (error) {
    expect(error).toBeInstanceOf(SherdError)
    return error as SherdError
  }
  throw new Error('it did not fail')
}

describe('fromArray and toArray', () => {
  // The 16-bit floats travel as bits: 0x3c00 is 1 in float16, 0x3f80 is 1 in bfloat16.
  const rows = [
    ['uint8', Uint8Array.of(0, 7, 255)],
    ['int32', Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1)],
    ['int64', BigInt64Array.of(-(2n ** 63n), 0n, 2n ** 63n - 1n)],
    ['float16', Uint16Array.of(0x3c00, 0xbc00, 0x7c00)],
    ['float32', Float32Array.of(-1.5, Number.NaN, Number.POSITIVE_INFINITY)],
    ['float64', Float64Array.of(Math.PI, Number.MIN_VALUE, -0)],
    ['bool', Uint8Array.of(1, 0, 1)],
    ['bfloat16', Uint16Array.of(0x3f80, 0xbf80, 0x7f80)],
  ] as const
  it.each(rows)('%s keeps every bit', (dtype, data) =>
    scope(() => {
      const x = fromArray(data as never, [3, 1], dtype)
      expect([x.dtype, x.shape, x.device, String(x)]).toEqual([dtype, [3, 1], 'cpu', `${dtype}[3, 1]`])
      expect(toArray(x)).toEqual(data)
    }),
  )

  it('covers every type that there is', () => {
    expect(rows.map(([dtype]) => dtype).sort()).toEqual(Object.keys(dtypes).sort())
  })

  it('copies, in both directions', () =>
    scope(() => {
      const data = Float32Array.of(1, 2)
      const x = fromArray(data, [2], 'float32')
      data[0] = 9
      const out = toFloats(x)
      out[1] = 9
      expect([...toFloats(x)]).toEqual([1, 2])
    }))

  it('reads a part of a larger buffer, and shared memory', () =>
    scope(() => {
      const data = Float32Array.of(1, 2, 3, 4)
      expect([...toFloats(fromArray(data.subarray(1, 3), [2], 'float32'))]).toEqual([2, 3])
      const shared = new Uint8Array(new SharedArrayBuffer(3), 1)
      shared.set([5, 6])
      expect([...toArray(fromArray(shared, [2], 'uint8'))]).toEqual([5, 6])
    }))

  it('writes views row by row', () =>
    scope(() => {
      const x = tensor([1, 2, 3, 4, 5, 6], [2, 3])
      expect([...toFloats(permute(x, [1, 0]))]).toEqual([1, 4, 2, 5, 3, 6])
      expect([...toFloats(narrow(x, 1, 2, 1))]).toEqual([3, 6])
      expect([...toFloats(expand(tensor([7], [1]), [2, 2]))]).toEqual([7, 7, 7, 7])
    }))

  it('holds nothing, and one number', () =>
    scope(() => {
      expect(toFloats(tensor([], [2, 0, 3])).length).toBe(0)
      expect(tensor([], [2, 0, 3]).shape).toEqual([2, 0, 3])
      expect(item(tensor([4], []))).toBe(4)
      expect(item(tensor([4], [1, 1]))).toBe(4)
    }))

  const refused: [string, string, RegExp, () => unknown][] = [
    [
      'too few numbers',
      'TENSOR',
      /float32\[2, 3\]: the shape needs 24 bytes, got 20/,
      () => tensor([1, 2, 3, 4, 5], [2, 3]),
    ],
    ['a negative size', 'TENSOR', /float32\[-2, -2\]: .*negative/, () => tensor([1, 2, 3, 4], [-2, -2])],
    [
      'a fraction',
      'TENSOR',
      /float32\[2.5, 2\]: expected an integer, got the number 2.5/,
      () => tensor([1, 2, 3, 4, 5], [2.5, 2]),
    ],
    ['NaN', 'TENSOR', /expected an integer, got the number NaN/, () => tensor([1], [Number.NaN])],
    [
      'a size that wraps around',
      'TENSOR',
      /needs 73786976294838210000 bytes, got 0/,
      () => tensor([], [2 ** 32, 2 ** 32]),
    ],
    [
      'a shape that is none',
      'TENSOR',
      /expected an array of integers/,
      () => tensor([], { join: () => '?' } as never),
    ],
    [
      'the wrong array',
      'VALUE',
      /a int64 tensor needs a BigInt64Array/,
      () => fromArray(new Int32Array(1) as never, [1], 'int64'),
    ],
    [
      'a list for an array',
      'VALUE',
      /a float64 tensor needs a Float64Array/,
      () => fromArray([1] as never, [1], 'float64'),
    ],
    [
      'an unknown type',
      'VALUE',
      /Unknown dtype "f32"/,
      () => fromArray(new Float32Array(1) as never, [1], 'f32' as never),
    ],
    [
      'two numbers as one',
      'SHAPE',
      /item: expected one element, got float32\[2\]/,
      () => item(tensor([1, 2], [2])),
    ],
    [
      'integers as floats',
      'VALUE',
      /toFloats: expected float32, got int32\[1\]/,
      () => toFloats(fromArray(new Int32Array(1), [1], 'int32')),
    ],
    ['a tensor by new', 'VALUE', /not by new/, () => new Tensor('x' as never)],
  ]
  it.each(refused)('refuses %s', (_, code, pattern, body) => {
    const error = failure(() => scope(body))
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(pattern)])
  })
})

describe('dispose', () => {
  it('frees, once: a second time is harmless, even when another tensor has taken the place', () => {
    const before = liveTensors()
    const x = tensor([1], [1])
    x.dispose()
    expect(liveTensors()).toBe(before)
    const y = tensor([2], [1]) // most likely in the same slot
    x.dispose()
    expect([...toFloats(y)]).toEqual([2])
    y.dispose()
    y.dispose()
    expect(liveTensors()).toBe(before)
  })

  const uses: [string, (x: Tensor) => unknown][] = [
    ['toArray', toArray],
    ['an operator', (x) => add(x, x)],
    ['an operator beside a live one', (x) => add(tensor([1], [1]), x)],
    ['backward', backward],
    ['gradient', gradient],
    ['requireGradient', (x) => requireGradient(x)],
    ['shape', (x) => new Tensor(x.handle).shape],
    ['dtype', (x) => new Tensor(x.handle).dtype],
    ['toDtype', (x) => toDtype(x, 'float64')],
  ]
  it.each(uses)('any use afterwards is an error: %s', (_, use) => {
    const x = tensor([1], [1])
    x.dispose()
    tensor([2], [1]).dispose() // the slot has been used again since
    const { code, message } = failure(() => scope(() => use(x)))
    expect(code).toBe('TENSOR')
    expect(message).toMatch(/the tensor was already freed \(its scope has ended, or it was disposed\)/)
  })

  it('no small number is a tensor, however many there are', () =>
    scope(() => {
      const live = Array.from({ length: 20 }, (_, i) => tensor([i], [1]))
      for (let handle = 0; handle < 1000; handle++)
        expect(failure(() => toFloats(new Tensor(handle))).message).toMatch(/already freed/)
      expect(live.map(item)).toEqual(live.map((_, i) => i))
    }))

  it('a freed tensor can be printed', () => {
    const x = tensor([1], [1])
    x.dispose()
    expect(String(x)).toBe('freed tensor')
  })
})

it('an element type that sherd does not use has a name, and toArray refuses it', () =>
  scope(() => {
    const complex = call('to.dtype', tensor([1], [1]), 9) // complex float32
    expect(String(complex)).toBe('type 9[1]')
    expect(failure(() => toArray(complex)).message).toMatch(
      /type 9\[1\] has an element type that sherd does not read/,
    )
  }))
