// Gradients against central differences, all in float64: the autograd that the model stands on, operator by operator.
import { expect, it } from 'vitest'
import { call } from '../../src/tensor/call.ts'
import { backward, gradient, requireGradient } from '../../src/tensor/context.ts'
import * as ops from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { fromArray, type Tensor } from '../../src/tensor/tensor.ts'
import { expectClose, numbers, product, wave } from '../tolerance.ts'

const doubles = (values: readonly number[], shape: readonly number[]) =>
  fromArray(Float64Array.from(values), shape, 'float64')
const indices = (values: readonly number[], shape: readonly number[]) =>
  fromArray(BigInt64Array.from(values, BigInt), shape, 'int64')

/** A loss that every element of `x` moves by another amount. */
const weighed = (x: Tensor) => ops.sum(ops.mul(x, doubles(wave(product(x.shape), 99), x.shape)))

interface Case {
  readonly inputs: readonly (readonly number[])[]
  readonly run: (...inputs: Tensor[]) => Tensor
}

const cases: Record<string, Case> = {
  gelu: { inputs: [[7]], run: (x) => ops.gelu(x!) },
  layerNorm: { inputs: [[3, 5], [5], [5]], run: (x, w, b) => ops.layerNorm(x!, w!, b!, 1e-6) },
  sigmoid: { inputs: [[3, 4]], run: (x) => ops.sigmoid(x!) },
  softmax: { inputs: [[3, 4]], run: (x) => ops.softmax(x!, 1) },
  attention: {
    inputs: [
      [2, 2, 3, 4],
      [2, 2, 3, 4],
      [2, 2, 3, 4],
    ],
    run: (q, k, v) => ops.attention(q!, k!, v!),
  },
  linear: { inputs: [[2, 3, 4], [5, 4], [5]], run: (x, w, b) => ops.linear(x!, w!, b!) },
  matmul: {
    inputs: [
      [2, 3, 4],
      [2, 4, 2],
    ],
    run: (a, b) => ops.matmul(a!, b!),
  },
  // Row 2 is taken twice: its gradient is the sum of both.
  gather: {
    inputs: [[3, 2]],
    run: (x) => ops.gather(x!, 0, indices([2, 0, 2, 1], [2, 2])),
  },
  indexSelect: { inputs: [[3, 2]], run: (x) => ops.indexSelect(x!, 0, indices([2, 2, 0], [3])) },
  mse: {
    inputs: [
      [2, 3],
      [2, 3],
    ],
    run: (a, b) => call('mse_loss', a!, b!),
  },
  add: { inputs: [[2, 3], [3]], run: (a, b) => ops.add(a!, b!) },
  div: {
    inputs: [
      [2, 3],
      [2, 3],
    ],
    run: (a, b) => ops.div(a!, ops.add(ops.square(b!), 1)),
  },
  varianceOver: { inputs: [[3, 4]], run: (x) => ops.varianceOver(x!, [1], { unbiased: true }) },
  cat: {
    inputs: [
      [2, 1],
      [2, 2],
    ],
    run: (a, b) => ops.cat([a!, ops.expand(b!, [2, 2])], 1),
  },
  views: {
    inputs: [[2, 3, 4]],
    run: (x) => ops.reshape(ops.permute(ops.narrow(x!, 2, 1, 2), [2, 0, 1]), [4, 3]),
  },
  select: { inputs: [[3, 4]], run: (x) => ops.select(x!, 0, 1) },
}

it.each(Object.entries(cases))('%s', (_, { inputs, run }) =>
  scope(() => {
    const start = inputs.map((shape, i) => wave(product(shape), i))
    const at = (values: readonly (readonly number[])[]) => values.map((v, i) => doubles(v, inputs[i]!))
    const leaves = at(start).map((x) => requireGradient(x))
    backward(weighed(run(...leaves)))

    const step = 1e-6
    for (const [i, leaf] of leaves.entries()) {
      const differences = start[i]!.map((_, j) => {
        const moved = (by: number) =>
          scope(() => {
            const values = start.map((v) => [...v])
            values[i]![j]! += by
            return numbers(weighed(run(...at(values))))[0]!
          })
        return (moved(step) - moved(-step)) / (2 * step)
      })
      expect(Math.max(...differences.map(Math.abs))).toBeGreaterThan(1e-3) // a constant would pass unseen
      expectClose(gradient(leaf)!, differences, 1e-8)
    }
  }),
)
