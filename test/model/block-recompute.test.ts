// Blocks under activation checkpointing, read in other ways than a masked autoencoder does.
import { expect, it } from 'vitest'
import { applyBlocks, blockRows, normRows } from '../../src/model/block.ts'
import { initialParameters, weightsOf, within } from '../../src/model/parameters.ts'
import { witnessing } from '../../src/tensor/call.ts'
import { clearGradients, gradient, noGrad } from '../../src/tensor/context.ts'
import { add, mul, sum } from '../../src/tensor/ops.ts'
import { backwardRecomputing, withRecompute } from '../../src/tensor/recompute.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { numbers, wave } from '../tolerance.ts'

const dimensions = { width: 8, depth: 2, heads: 2, mlpRatio: 2, layerNormEpsilon: 1e-6 }
const parameters = initialParameters(
  [...blockRows('blocks', dimensions), ...blockRows('head_blocks', dimensions), ...normRows('norm', 8)],
  { seed: 1, device: 'cpu' },
)
const weights = weightsOf(parameters)
const encode = (x: Tensor) => applyBlocks(x, within(weights, 'blocks'), within(weights, 'norm'), dimensions)
const decode = (x: Tensor) => applyBlocks(x, within(weights, 'head_blocks'), null, dimensions)
const tokens = (seed: number) => tensor(wave(2 * 3 * 8, seed), [2, 3, 8])
const weighted = (x: Tensor, seed: number) => sum(mul(x, tokens(seed)))

function gradientsOf(loss: () => Tensor, recompute: boolean): number[][] {
  clearGradients(parameters.values())
  scope(() =>
    recompute ? withRecompute(() => backwardRecomputing([loss()])) : backwardRecomputing([loss()]),
  )
  return scope(() =>
    [...parameters.values()].map((parameter) => {
      const found = gradient(parameter)
      return found ? numbers(found) : []
    }),
  )
}

it('an output that two others read has the gradient of both, bit for bit', () => {
  const loss = () => {
    const latent = encode(tokens(0))
    return add(weighted(latent, 5), weighted(decode(latent), 6))
  }
  const before = liveTensors()
  const plain = gradientsOf(loss, false)
  expect(plain.flat().some((x) => x !== 0)).toBe(true)
  expect(gradientsOf(loss, true)).toEqual(plain)
  expect(liveTensors()).toBe(before)
})

it('what runs without gradients is not computed again, and gets none', () => {
  const loss = () => {
    const target = noGrad(() => encode(tokens(1)))
    return weighted(mul(decode(tokens(0)), target), 5)
  }
  const plain = gradientsOf(loss, false)
  const names = [...parameters.keys()]
  for (const [i, values] of plain.entries()) expect(values.length > 0).toBe(names[i]!.startsWith('head_'))
  expect(gradientsOf(loss, true)).toEqual(plain)
})

it('what runs without gradients runs once', () => {
  const calls = (body: () => unknown) => {
    let count = 0
    witnessing(() => count++, body)
    return count
  }
  const target = tokens(3)
  const alone = calls(() => gradientsOf(() => weighted(mul(decode(tokens(0)), target), 5), true))
  const both = calls(() =>
    gradientsOf(() => {
      const features = noGrad(() => encode(tokens(1)))
      return weighted(mul(decode(tokens(0)), features), 5)
    }, true),
  )
  const once = calls(() => scope(() => noGrad(() => encode(tokens(1)))))
  expect([once > 0, both - alone]).toEqual([true, once])
  target.dispose()
})
