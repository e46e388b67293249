import { describe, expect, it } from 'vitest'
import { adamw } from '../../src/optim/adamw.ts'
import type { ListKernel } from '../../src/optim/gradients.ts'
import { initialState } from '../../src/optim/optimizer.ts'
import { requireGradient } from '../../src/tensor/context.ts'
import { permute } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { tensor, toFloats } from '../../src/tensor/tensor.ts'
import { expectClose, numbers, product, wave } from '../tolerance.ts'
import { take } from './stepping.ts'

const rule = adamw({ beta1: 0.9, beta2: 0.95, epsilon: 1e-3 })
const options = { beta1: 0.9, beta2: 0.95, epsilon: 1e-3, weightDecay: 0.05 }

/** Loshchilov & Hutter 2019, algorithm 2, as it is written there, in double precision. */
function byHand(start: readonly number[], gradients: number[][], rates: number[], decays: boolean) {
  const { beta1, beta2, epsilon, weightDecay } = options
  const [m, v, theta] = [start.map(() => 0), start.map(() => 0), [...start]]
  for (const [i, gradient] of gradients.entries()) {
    const t = i + 1
    for (const [j, g] of gradient.entries()) {
      m[j] = beta1 * m[j]! + (1 - beta1) * g
      v[j] = beta2 * v[j]! + (1 - beta2) * g * g
      const [mHat, vHat] = [m[j]! / (1 - beta1 ** t), v[j]! / (1 - beta2 ** t)]
      const decay = decays ? weightDecay * theta[j]! : 0
      theta[j]! -= rates[i]! * (mHat / (Math.sqrt(vHat) + epsilon) + decay)
    }
  }
  return { m, v, theta }
}

const kernels: ListKernel[] = ['native', 'composed']

describe.each(kernels)('AdamW, %s', (kernel) => {
  it('by hand: the first step of a gradient of 4 moves by the rate, whatever its size', () =>
    scope(() => {
      // m̂ = 4, √v̂ = 4; with ε = 0 the step is exactly the rate, after a decay of 0.1 · 0.5 · 2 = 0.1.
      const x = tensor([2, 2], [1, 2])
      const parameters = new Map([['x', x]])
      const state = initialState(rule, parameters)
      const exact = adamw({ ...options, epsilon: 0 })
      const own = { weightDecay: 0.5, learningRate: 0.1 }
      take(exact, parameters, [tensor([4, -4], [1, 2])], state, own, kernel)
      expectClose(x, [1.8, 2], 1e-6)
      expectClose(state.slots.exp_avg!.get('x')!, [0.4, -0.4], 1e-6)
      expectClose(state.slots.exp_avg_sq!.get('x')!, [0.8, 0.8], 1e-6)
      expect([...state.steps]).toEqual([['x', 1]])
    }))

  it('three steps are those of the algorithm; only two dimensions and more decay', () =>
    scope(() => {
      const shapes = { matrix: [3, 4], bias: [4], token: [1, 1, 5], scalar: [], kernel: [2, 2, 2, 2] }
      const start = Object.values(shapes).map((shape, i) => wave(product(shape), i))
      const steps = [0, 1, 2].map((step) =>
        Object.values(shapes).map((shape, i) =>
          wave(product(shape), 10 * (step + 1) + i).map((g) => g * 10 ** -i),
        ),
      )
      const rates = [0.1, 0.05, 0.2]
      const parameters = new Map(
        Object.entries(shapes).map(([name, shape], i) => [name, requireGradient(tensor(start[i]!, shape))]),
      )
      const state = initialState(rule, parameters)
      for (const [step, gradients] of steps.entries()) {
        const tensors = Object.values(shapes).map((shape, i) => tensor(gradients[i]!, shape))
        take(rule, parameters, tensors, state, { ...options, learningRate: rates[step]! }, kernel)
      }
      for (const [i, [name, shape]] of Object.entries(shapes).entries()) {
        const { m, v, theta } = byHand(
          start[i]!,
          steps.map((gradients) => gradients[i]!),
          rates,
          shape.length >= 2,
        )
        expectClose(parameters.get(name)!, theta, 1e-6)
        expectClose(state.slots.exp_avg!.get(name)!, m, 1e-7)
        expectClose(state.slots.exp_avg_sq!.get(name)!, v, 1e-7)
      }
      expect([...state.steps.values()]).toEqual([3, 3, 3, 3, 3])
    }))

  it('reaches every element of large parameters, on every thread', () =>
    scope(() => {
      const shapes = { a: [1, 700_001], b: [2, 350_000], small: [3, 1], bias: [300_007] }
      const filled = (shape: number[], value: number) =>
        tensor(new Float32Array(product(shape)).fill(value), shape)
      const parameters = new Map(Object.entries(shapes).map(([name, shape]) => [name, filled(shape, 1)]))
      const gradients = Object.values(shapes).map((shape) => filled(shape, 2))
      const state = initialState(rule, parameters)
      for (let i = 0; i < 2; i++)
        take(rule, parameters, gradients, state, { ...options, learningRate: 0.1 }, kernel)
      for (const [name, shape] of Object.entries(shapes)) {
        const expected = byHand([1], [[2], [2]], [0.1, 0.1], shape.length >= 2).theta[0]!
        const found = toFloats(parameters.get(name)!)
        // Vector lanes and the rest of a row may round differently, by one bit.
        for (const value of new Set(found)) expect(Math.abs(value - expected)).toBeLessThan(1e-6)
        expect(found.length).toBe(product(shape))
      }
    }))

  it('takes gradients that are views', () =>
    scope(() => {
      const parameters = new Map([['x', tensor([0, 0, 0, 0, 0, 0], [2, 3])]])
      const state = initialState(rule, parameters)
      const gradient = permute(tensor([1, 4, 2, 5, 3, 6], [3, 2]), [1, 0])
      take(rule, parameters, [gradient], state, { ...options, learningRate: 0.1 }, kernel)
      expectClose(state.slots.exp_avg!.get('x')!, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 1e-6)
    }))

  it('does nothing at a rate of 0 but remember', () =>
    scope(() => {
      const parameters = new Map([['x', tensor([1, 2], [1, 2])]])
      const state = initialState(rule, parameters)
      take(rule, parameters, [tensor([3, 3], [1, 2])], state, { ...options, learningRate: 0 }, kernel)
      expect(numbers(parameters.get('x')!)).toEqual([1, 2])
      expectClose(state.slots.exp_avg!.get('x')!, [0.3, 0.3], 1e-7)
    }))

  it('makes no tensors that stay', () =>
    scope(() => {
      const parameters = new Map([['x', tensor([1, 2], [2])]])
      const gradients = [tensor([1, 1], [2])]
      const state = initialState(rule, parameters)
      const before = liveTensors()
      for (let i = 0; i < 5; i++)
        take(rule, parameters, gradients, state, { ...options, learningRate: 0.1 }, kernel)
      expect(liveTensors()).toBe(before)
    }))
})

it('initialState is zeros of the parameters’ shapes, beyond the scope that it was called in', () => {
  const parameters = new Map([['x', tensor([1, 2], [1, 2])]])
  const state = scope(() => {
    const made = initialState(rule, parameters)
    return () => made
  })()
  expect([
    numbers(state.slots.exp_avg!.get('x')!),
    numbers(state.slots.exp_avg_sq!.get('x')!),
    state.steps.get('x'),
  ]).toEqual([[0, 0], [0, 0], 0])
  expect(state.slots.exp_avg!.get('x')!.shape).toEqual([1, 2])
})
