import { describe, expect, it } from 'vitest'
import { clipGradients, expectReached, gradientNorm, gradientsOf } from '../../src/optim/gradients.ts'
import { backward, requireGradient } from '../../src/tensor/context.ts'
import { mul, permute, sum } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'

const leaves = () =>
  new Map([
    ['a', requireGradient(tensor([1, 2], [2]))],
    ['b', requireGradient(tensor([3], [1]))],
  ])

describe('gradientsOf', () => {
  it('collects them in the order of the parameters', () =>
    scope(() => {
      const parameters = leaves()
      backward(sum(mul(parameters.get('a')!, parameters.get('b')!)))
      expect([...gradientsOf(parameters)].map(([name, x]) => [name, numbers(x)])).toEqual([
        ['a', [3, 3]],
        ['b', [3]],
      ])
    }))

  it('leaves out what the loss did not reach', () =>
    scope(() => {
      const parameters = leaves()
      backward(sum(parameters.get('a')!))
      expect([...gradientsOf(parameters).keys()]).toEqual(['a'])
    }))
})

describe('expectReached', () => {
  it('names a parameter that the loss did not reach, and that is not among those it may leave out', () =>
    scope(() => {
      const parameters = leaves()
      backward(sum(parameters.get('a')!))
      const gradients = gradientsOf(parameters)
      expect(() => expectReached(parameters, gradients)).toThrow(
        expect.objectContaining({ code: 'BUG', message: 'Bug: the loss does not depend on parameter "b"' }),
      )
      expect(() => expectReached(parameters, gradients, (name) => name === 'a')).toThrow('parameter "b"')
      expect(expectReached(parameters, gradients, (name) => name === 'b')).toBe(gradients)
    }))
})

describe.each(['native', 'composed'] as const)('gradientNorm, %s', (kernel) => {
  it('is that of all numbers together: 2² + 3² + 6² = 7²', () =>
    scope(() => {
      const before = liveTensors()
      const gradients = [tensor([2], [1]), tensor([0, -3, 6, 0], [2, 2])]
      expect(gradientNorm(gradients, kernel)).toBeCloseTo(7, 6)
      expect(liveTensors()).toBe(before + 2)
    }))

  it('is that of double precision for 200,003 numbers in two tensors, one of them a view', () =>
    scope(() => {
      const [a, b] = [wave(3 * 50_001, 1), wave(50_000, 2)]
      const exact = Math.hypot(...[a, b].map((each) => Math.sqrt(each.reduce((sum, x) => sum + x * x, 0))))
      const gradients = [permute(tensor(a, [3, 50_001]), [1, 0]), tensor(b, [50_000])]
      expect(Math.abs(gradientNorm(gradients, kernel) / exact - 1)).toBeLessThan(1e-6)
    }))

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('is not finite when one number is %d', (bad) =>
    scope(() => expect(gradientNorm([tensor([1, 2], [2]), tensor([bad], [1])], kernel)).toBe(bad)),
  )
})

describe.each(['native', 'composed'] as const)('clipGradients, %s', (kernel) => {
  // Norms 2, 3 and 6, together 7; a and b together √13.
  const gradients = () =>
    new Map([
      ['a', tensor([2], [1])],
      ['b', tensor([-3, 0], [2])],
      ['c', tensor([2, 4, 4], [1, 3])],
    ])
  const names = ['a', 'b', 'c']
  const clipped = (...clippings: Parameters<typeof clipGradients>[1]) => {
    const own = gradients()
    clipGradients(own, clippings, { norm: 7, kernel })
    return [...own.values()].flatMap(numbers)
  }

  it('all together', () =>
    scope(() => {
      expectClose(clipped({ clip: { by: 'all', most: 3.5 }, names }), [1, -1.5, 0, 1, 2, 2], 1e-6)
    }))

  it('each tensor by itself: those within the limit stay as they are, to the bit', () =>
    scope(() => {
      const values = clipped({ clip: { by: 'tensor', most: 2.5 }, names })
      expectClose(values, [2, -2.5, 0, 2.5 / 3, 5 / 3, 5 / 3], 1e-6)
      expect(values[0]).toBe(2)
    }))

  it('the parameters of a row together, and others apart', () =>
    scope(() => {
      const [row, other] = [1 / Math.sqrt(13), 0.5]
      const values = clipped(
        { clip: { by: 'row', most: 1 }, names: ['a', 'b'] },
        { clip: { by: 'row', most: 3 }, names: ['c'] },
      )
      expectClose(values, [2 * row, -3 * row, 0, 2 * other, 4 * other, 4 * other], 1e-6)
    }))

  it('a row by the norm of all: the others count and stay', () =>
    scope(() => {
      const values = clipped({ clip: { by: 'all', most: 3.5 }, names: ['c'] })
      expectClose(values, [2, -3, 0, 1, 2, 2], 1e-6)
    }))

  it('leaves a norm below the limit alone, to the bit, and names without a gradient', () =>
    scope(() => {
      const rules = { names: [...names, 'absent'] }
      for (const by of ['all', 'tensor', 'row'] as const)
        expect(clipped({ clip: { by, most: 8 }, ...rules })).toEqual([2, -3, 0, 2, 4, 4])
      expect(clipped({ clip: { by: 'row', most: 1 }, names: ['absent'] })).toEqual([2, -3, 0, 2, 4, 4])
    }))
})

it('the norm of no gradients is 0', () => expect(gradientNorm([])).toBe(0))
