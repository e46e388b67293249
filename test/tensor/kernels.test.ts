import { describe, expect, it } from 'vitest'
import { backward, noGrad, requireGradient } from '../../src/tensor/context.ts'
import { type AdamWTensors, adamWInPlace } from '../../src/tensor/kernels.ts'
import { permute, square, sum } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { fromArray, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { expectClose, numbers } from '../tolerance.ts'

// m ← m/2 + g/2, v ← 3v/4 + g²/4, θ ← 0.9 θ − 2 m / (√v + 1)
const step = { decay: 0.9, beta1: 0.5, beta2: 0.75, rate: 2, epsilon: 1 }
const make = (): { [K in keyof AdamWTensors]: Tensor[] } => ({
  parameters: [tensor([10, 20], [2, 1]), tensor([0], [])],
  gradients: [tensor([4, 0], [2, 1]), tensor([-2], [])],
  first: [tensor([0, 2], [2, 1]), tensor([0], [])],
  second: [tensor([0, 12], [2, 1]), tensor([0], [])],
})

describe('adamWInPlace', () => {
  it('by hand', () =>
    scope(() => {
      const tensors = make()
      const before = liveTensors()
      adamWInPlace(tensors, step)
      expect(liveTensors()).toBe(before)
      expect(tensors.first.map(numbers)).toEqual([[2, 1], [-1]])
      expect(tensors.second.map(numbers)).toEqual([[4, 9], [1]])
      expectClose(tensors.parameters[0]!, [9 - (2 * 2) / (2 + 1), 18 - (2 * 1) / (3 + 1)], 1e-6)
      expectClose(tensors.parameters[1]!, [(2 * 1) / (1 + 1)], 1e-6)
      expect(tensors.gradients.map(numbers)).toEqual([[4, 0], [-2]])
    }))

  it('steps leaves that ask for a gradient, and is no part of a graph', () =>
    scope(() => {
      const tensors = make()
      requireGradient(tensors.parameters[0]!)
      adamWInPlace(tensors, step)
      expect(() => backward(sum(tensors.first[0]!))).toThrow(/does not require grad/)
    }))

  it('tells autograd that the parameter is another now', () =>
    scope(() => {
      const tensors = make()
      const loss = sum(square(requireGradient(tensors.parameters[0]!)))
      noGrad(() => adamWInPlace(tensors, step))
      expect(() => backward(loss)).toThrow(/modified by an inplace operation/)
    }))

  const freed = () => {
    const x = tensor([1, 2], [2, 1])
    x.dispose()
    return x
  }
  it.each<[string, RegExp, (tensors: ReturnType<typeof make>) => void]>([
    [
      'another shape',
      /float32 tensors of one shape/,
      ({ gradients }) => gradients.splice(0, 1, tensor([1, 2], [1, 2])),
    ],
    [
      'another type',
      /float32 tensors/,
      ({ second }) => second.splice(0, 1, fromArray(Float64Array.of(1, 2), [2, 1], 'float64')),
    ],
    [
      'a view',
      /contiguous/,
      ({ parameters, gradients, first, second }) => {
        for (const list of [parameters, gradients, first, second])
          list[0] = permute(tensor([1, 2, 3, 4], [2, 2]), [1, 0])
      },
    ],
    ['a freed tensor', /already freed/, ({ first }) => first.splice(0, 1, freed())],
    ['a list that is too short', /four lists of one length/, ({ second }) => second.pop()],
  ])('refuses %s', (_, pattern, damage) =>
    scope(() => {
      const tensors = make()
      damage(tensors)
      expect(() => adamWInPlace(tensors, step)).toThrow(
        expect.objectContaining({ code: 'TENSOR', message: expect.stringMatching(pattern) }),
      )
      expect(() => adamWInPlace(tensors, step)).toThrow(/^adamW over 2 tensors: /)
    }),
  )

  it.each(Object.keys(step))('refuses a %s that is no number', (key) =>
    scope(() =>
      expect(() => adamWInPlace(make(), { ...step, [key]: 'x' })).toThrow(
        /expected a number, got the string/,
      ),
    ),
  )
})
