import { expect, it } from 'vitest'
import type { WaitingArray } from '../../src/checkpoint/arrays.ts'
import { probeHead } from '../../src/import/probe-head.ts'

const array = (shape: readonly number[], values: readonly number[]): WaitingArray => ({
  ...{ dtype: 'float32', shape },
  read: async () => Float32Array.from(values),
})
const parts = (more: Readonly<Record<string, WaitingArray>> = {}) =>
  new Map(
    Object.entries({
      'head.0.running_mean': array([2], [1, -1]),
      'head.0.running_var': array([2], [4, 0.25]),
      'head.1.weight': array([1, 2], [3, 5]),
      'head.1.bias': array([1], [0.5]),
      ...more,
    }),
  )

it('the norm and the map of a linear probe are one map', async () => {
  const { parameters, names } = probeHead(parts({ 'head.0.num_batches_tracked': array([], [7]) }))!
  expect(names).toContain('head.0.num_batches_tracked')
  const [weight, bias] = ['head.weight', 'head.bias'].map((name) => parameters.get(name)!)
  expect([weight!.shape, bias!.shape]).toEqual([[1, 2], [1]])
  // 3 (x − 1) / 2 + 5 (y + 1) / 0.5 + 0.5 = 1.5 x + 10 y + 9
  const [a, b] = await weight!.read()
  expect(a).toBeCloseTo(1.5, 5)
  expect(b).toBeCloseTo(10, 4)
  expect((await bias!.read())[0]).toBeCloseTo(9, 4)
})

it('a norm with a scale and a shift of its own, and a map without a bias', async () => {
  const all = parts({ 'head.0.weight': array([2], [2, 1]), 'head.0.bias': array([2], [10, 0]) })
  all.delete('head.1.bias')
  const { parameters } = probeHead(all)!
  // 3 (2 (x − 1) / 2 + 10) + 5 (y + 1) / 0.5 = 3 x + 10 y + 37
  expect((await parameters.get('head.weight')!.read())[0]).toBeCloseTo(3, 5)
  expect((await parameters.get('head.bias')!.read())[0]).toBeCloseTo(37, 4)
})

it('is none where a part is missing, and refused where they do not fit', () => {
  const without = parts()
  without.delete('head.0.running_var')
  expect(probeHead(without)).toBeNull()
  expect(() => probeHead(parts({ 'head.0.running_mean': array([3], [0, 0, 0]) }))).toThrow(
    /do not fit together/,
  )
})
