import { describe, expect, it } from 'vitest'
import { clipGradients, gradientNorm, gradientsOf } from '../../src/optim/gradients.ts'
import { backward, requireGradient } from '../../src/tensor/context.ts'
import { mul, sum } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { expectClose, numbers } from '../tolerance.ts'

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

describe('gradientNorm', () => {
  it('is that of all numbers together: 2² + 3² + 6² = 7²', () =>
    scope(() => {
      const before = liveTensors()
      const gradients = [tensor([2], [1]), tensor([0, -3, 6, 0], [2, 2])]
      expect(gradientNorm(gradients)).toBeCloseTo(7, 6)
      expect(liveTensors()).toBe(before + 2)
    }))

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('is not finite when one number is %d', (bad) =>
    scope(() => expect(gradientNorm([tensor([1, 2], [2]), tensor([bad], [1])])).toBe(bad)),
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
