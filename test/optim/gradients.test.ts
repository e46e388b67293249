import { describe, expect, it } from 'vitest'
import { clipGradients, gradientNorm, gradientsOf } from '../../src/optim/gradients.ts'
import { backward, requireGradient } from '../../src/tensor/context.ts'
import { mul, permute, sum } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'

describe('gradientsOf', () => {
  const leaves = () =>
    new Map([
      ['a', requireGradient(tensor([1, 2], [2]))],
      ['b', requireGradient(tensor([3], [1]))],
    ])

  it('collects them in the order of the parameters', () =>
    scope(() => {
      const parameters = leaves()
      backward(sum(mul(parameters.get('a')!, parameters.get('b')!)))
      expect(gradientsOf(parameters).map(numbers)).toEqual([[3, 3], [3]])
    }))

  it('names a parameter that the loss did not reach', () =>
    scope(() => {
      const parameters = leaves()
      backward(sum(parameters.get('a')!))
      expect(() => gradientsOf(parameters)).toThrow(
        expect.objectContaining({ code: 'BUG', message: 'Bug: the loss does not depend on parameter "b"' }),
      )
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

describe('clipGradients', () => {
  const gradients = () => [tensor([2], [1]), tensor([-3, 6], [2])]

  it('scales in place to the limit', () =>
    scope(() => {
      const clipped = gradients()
      clipGradients(clipped, 7, 3.5)
      expectClose(clipped.flatMap(numbers), [1, -1.5, 3], 1e-6)
      expect(gradientNorm(clipped)).toBeCloseTo(3.5, 5)
    }))

  it('leaves a norm below the limit alone, to the bit', () =>
    scope(() => {
      const same = gradients()
      clipGradients(same, 7, 8)
      expect(same.flatMap(numbers)).toEqual([2, -3, 6])
    }))
})
