import { expect, it } from 'vitest'
import { generalTape, type Recording } from '../../src/export/general-tape.ts'
import { add, expand, mul, narrow, reshape, select } from '../../src/tensor/ops.ts'
import { record } from '../../src/tensor/record.ts'
import { scope } from '../../src/tensor/scope.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { wave } from '../tolerance.ts'

const recorded = (B: number, body: (x: Tensor) => Tensor): Recording =>
  scope(() => {
    const x = tensor(wave(B * 6), [B, 6])
    return { tape: record({ inputs: { x }, named: new Map() }, () => ({ y: body(x) })), batch: B }
  })
const general = (body: (x: Tensor) => Tensor) => generalTape(recorded(2, body), recorded(5, body))
const size = (x: Tensor) => x.shape[0]!

it('makes a number that differs a multiple of the batch', () => {
  const tape = general((x) => reshape(x, [3 * size(x), 2]))

  expect(tape.calls).toEqual([
    { name: 'aten::reshape', args: [{ tensor: 0 }, [{ batch: 3 }, 2]], results: [1] },
  ])
  expect(tape.tensors.map(({ shape }) => shape)).toEqual([
    [{ batch: 1 }, 6],
    [{ batch: 3 }, 2],
  ])
})

it('makes a constant that differs one row of it', () => {
  const row = tensor(wave(6), [1, 6])
  const { tensors } = general((x) => add(x, expand(row, [size(x), 6])))

  const { shape, constant } = tensors[1]!
  expect([shape, constant!.stored, constant!.values.length]).toEqual([[{ batch: 1 }, 6], [1, 6], 6])
})

it.each<[string, (x: Tensor) => Tensor, string]>([
  [
    'a number that is no multiple',
    (x) => narrow(reshape(x, [6 * size(x)]), 0, 0, size(x) + 1),
    'is 3 in one and 6 in the other',
  ],
  [
    'rows that differ',
    (x) => add(x, reshape(tensor(wave(size(x)), [size(x)]), [size(x), 1])),
    'the values of tensor 1',
  ],
  ['values that differ', (x) => mul(x, tensor([size(x)], [1])), 'the values of tensor 1'],
  ['numbers that depend on the batch', (x) => mul(x, 1 / size(x)), 'is 0.5 in one and 0.2 in the other'],
  [
    'other operators',
    (x) => (size(x) === 2 ? add(x, 1) : mul(x, 1)),
    'aten::add.Scalar and aten::mul.Scalar',
  ],
  ['more operators', (x) => (size(x) === 2 ? add(x, 1) : mul(add(x, 1), 2)), '1 operators and 2'],
  [
    'other lists',
    (x) => select(size(x) === 2 ? reshape(x, [2, 6]) : reshape(x, [5, 6, 1]), 1, 0),
    'an argument of',
  ],
])('refuses %s', (_, body, message) => {
  expect(() => general(body)).toThrow(message)
})
