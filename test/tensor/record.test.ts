import { expect, it } from 'vitest'
import { callInPlace } from '../../src/tensor/call.ts'
import { requireGradient } from '../../src/tensor/context.ts'
import { layerNorm, linear } from '../../src/tensor/fused.ts'
import { add, arange, expand, mul, ones, permute, reshape, toDtype } from '../../src/tensor/ops.ts'
import { record } from '../../src/tensor/record.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'

const weight = tensor([1, 2, 3, 4, 5, 6], [2, 3])
const bias = requireGradient(tensor([7, 8], [2]))
const named = new Map([
  ['map.weight', weight],
  ['map.bias', bias],
])
const taped = (body: (x: Tensor) => Tensor) =>
  scope(() => {
    const x = tensor([1, 2, 3], [1, 3])
    return record({ inputs: { x }, named }, () => ({ y: body(x) }))
  })

it('notes what depends on the input, with the operators of LibTorch', () => {
  const { tensors, calls, inputs, outputs } = taped((x) => mul(linear(x, { weight, bias }), 2))

  expect(inputs).toEqual({ x: 0 })
  expect(calls).toEqual([
    { name: 'aten::linear', args: [{ tensor: 0 }, { tensor: 1 }, { tensor: 2 }], results: [3] },
    { name: 'aten::mul.Scalar', args: [{ tensor: 3 }, 2], results: [4] },
  ])
  expect(outputs).toEqual({ y: 4 })
  expect(tensors[1]).toEqual({
    ...{ dtype: 'float32', shape: [2, 3], name: 'map.weight' },
    values: Float32Array.of(1, 2, 3, 4, 5, 6),
  })
  expect(tensors[4]).toEqual({ dtype: 'float32', shape: [1, 2] })
})

it('knows what does not depend on it: constants, under the name of the parameter that they were made of', () => {
  const { tensors, calls } = taped((x) => {
    const turned = reshape(permute(weight, [1, 0]), [6])
    const counted = expand(toDtype(arange(3), 'float32'), [2, 3])
    return add(add(reshape(x, [3]), counted), reshape(turned, [2, 3]))
  })

  expect(calls.map(({ name }) => name)).toEqual(['aten::reshape', 'aten::add.Tensor', 'aten::add.Tensor'])
  const constants = tensors.filter(({ values }) => values)
  expect(constants.map(({ name }) => name)).toEqual([undefined, 'map.weight'])
  expect(constants.map(({ values }) => [...values!])).toEqual([
    [0, 1, 2, 0, 1, 2],
    [1, 4, 2, 5, 3, 6],
  ])
})

it('frees what was computed, and needs no gradients', () => {
  const before = liveTensors()
  taped((x) => layerNorm(linear(x, { weight, bias }), { weight: ones([2]), bias }, 1e-6))
  expect(liveTensors()).toBe(before)
})

it('refuses what no tape can say', () => {
  expect(() => taped(() => ones([2]))).toThrow('"y" does not depend on the inputs')
  expect(() =>
    taped((x) => {
      const y = add(x, 1)
      callInPlace('add_.Scalar', y, 1)
      return y
    }),
  ).toThrow('aten::add_.Scalar changes its argument')
})
