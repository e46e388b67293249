import { describe, expect, it } from 'vitest'
import { disposeState, initialState } from '../../src/optim/optimizer.ts'
import { optimizerOf } from '../../src/optim/optimizers.ts'
import { update, updateOf } from '../../src/optim/update.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { expectClose, numbers } from '../tolerance.ts'

describe('update', () => {
  // Without momentum and decay, at rate 1, weights of 0 become the clipped gradient, negated.
  const moved = (options: Partial<Parameters<typeof update>[3]>) =>
    scope(() => {
      const optimizer = optimizerOf({ optimizer: 'sgd', momentum: 0 })
      const shapes = { 'body.a': [1], 'body.b': [2], 'head.c': [1] }
      const parameters = new Map(
        Object.entries(shapes).map(([name, shape]) => [name, tensor(Array(shape[0]).fill(0), shape)]),
      )
      const gradients = new Map([
        ['body.a', tensor([-2], [1])],
        ['body.b', tensor([-3, 0], [2])],
        ['head.c', tensor([-6], [1])],
      ])
      const state = initialState(optimizer, parameters)
      const now = { step: 0, epoch: 0, learningRate: 1, weightDecay: 0, ...options }
      const norm = update(parameters, gradients, state, { optimizer, ...now })
      disposeState(state)
      return [norm, ...[...parameters.values()].flatMap(numbers)]
    })

  it('without rows and clipping is the step of the optimizer', () =>
    expectClose(moved({}), [7, 2, 3, 0, 6], 1e-6))

  it('clips by a row what the row matches, and the rest by the rule of the configuration', () => {
    const body = { match: /^body\./, clip: { by: 'tensor', most: 2.5 } } as const
    expectClose(moved({ groups: [body], clip: { by: 'all', most: 3.5 } }), [7, 2, 2.5, 0, 3], 1e-5)
    expectClose(moved({ groups: [body], clip: { by: 'row', most: 3 } }), [7, 2, 2.5, 0, 3], 1e-5)
    expectClose(moved({ groups: [body] }), [7, 2, 2.5, 0, 6], 1e-6)
  })

  it('what is frozen without a gradient does not count in the norm, what is frozen at rate 0 does', () => {
    const clip = { by: 'all', most: Math.sqrt(13) / 2 } as const
    const [match, frozenUntil] = [/^head/, 1]
    expectClose(moved({ groups: [{ match, frozenUntil }], clip }), [Math.sqrt(13), 1, 1.5, 0, 0], 1e-5)
    const half = { by: 'all', most: 3.5 } as const
    expectClose(
      moved({ groups: [{ match, frozenUntil, frozen: 'zero-rate' }], clip: half }),
      [7, 1, 1.5, 0, 0],
      1e-5,
    )
  })
})

it('updateOf takes the keys of a configuration', () => {
  const adam = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.05 }
  const plain = updateOf({ ...adam, clipGradientNorm: null })
  expect([plain.optimizer.slots, plain.weightDecay, plain.clip]).toEqual([
    ['exp_avg', 'exp_avg_sq'],
    0.05,
    null,
  ])
  const lars = { optimizer: 'lars', momentum: 0.9, trustCoefficient: 0.001, weightDecay: 1e-6 } as const
  expect(updateOf({ ...lars, clipGradientNorm: 3 }).clip).toEqual({ by: 'all', most: 3 })
  const apart = updateOf({ ...lars, clipGradientNorm: 3, clipBy: 'tensor' })
  expect([apart.optimizer.slots, apart.clip]).toEqual([['momentum_buffer'], { by: 'tensor', most: 3 }])
})
