// Kernels whose weights or inputs stay as they are: what is asked for is computed as when all is asked for, and nothing else is.
import { describe, expect, it } from 'vitest'
import { backward, gradient, requireGradient, requiresGradient } from '../../src/tensor/context.ts'
import { linear, mlp } from '../../src/tensor/fused.ts'
import { mul, sum } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { expectClose, numbers, product, wave } from '../tolerance.ts'

const shapes = {
  linear: [[5, 7], [9, 7], [9]],
  mlp: [[5, 7], [11, 7], [11], [7, 11], [7]],
}
const applied = {
  linear: ([x, weight, bias]: Tensor[]) => linear(x!, { weight: weight!, bias: bias! }),
  mlp: ([x, w1, b1, w2, b2]: Tensor[]) => mlp(x!, { weight: w1!, bias: b1! }, { weight: w2!, bias: b2! }),
}

/** The gradients of those that learn, and null of the others. */
const gradientsOf = (name: keyof typeof shapes, learns: readonly boolean[]) =>
  scope(() => {
    const given = shapes[name].map((shape, i) => tensor(wave(product(shape), i), shape))
    for (const [i, x] of given.entries()) if (learns[i]) requireGradient(x)
    const y = applied[name](given)
    if (!requiresGradient(y)) return given.map(() => null)
    backward(sum(mul(y, tensor(wave(product(y.shape), 50), y.shape))))
    return given.map((x) => {
      const found = gradient(x)
      return found && numbers(found)
    })
  })

describe.each(['linear', 'mlp'] as const)('%s', (name) => {
  const count = shapes[name].length
  const all = gradientsOf(name, Array(count).fill(true))
  const choices = Array.from({ length: 2 ** count }, (_, n) =>
    shapes[name].map((_, i) => ((n >> i) & 1) === 1),
  )

  it('has the same gradients for every choice of what learns', () => {
    for (const learns of choices)
      for (const [i, found] of gradientsOf(name, learns).entries()) {
        expect(found !== null, `${learns}: ${i}`).toBe(learns[i])
        if (found) expectClose(found, all[i]!, 1e-5)
      }
  })
})
