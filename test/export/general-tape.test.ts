import { expect, it } from 'vitest'
import { generalTape } from '../../src/export/general-tape.ts'
import { add, expand, mul, narrow, reshape, select } from '../../src/tensor/ops.ts'
import { record } from '../../src/tensor/record.ts'
import { scope } from '../../src/tensor/scope.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { wave } from '../tolerance.ts'

const general = (body: (x: Tensor) => Tensor) =>
  generalTape({ batch: [2, 5, 7] }, ({ batch: B = 0 }) =>
    scope(() => {
      const x = tensor(wave(B * 6), [B, 6])
      return record({ inputs: { x }, named: new Map() }, () => ({ y: body(x) }))
    }),
  )
const size = (x: Tensor) => x.shape[0]!

it('makes a number that differs a multiple of the batch', () => {
  const tape = general((x) => reshape(x, [3 * size(x), 2]))

  expect(tape.calls).toEqual([
    { name: 'aten::reshape', args: [{ tensor: 0 }, [{ size: { batch: 3 } }, 2]], results: [1] },
  ])
  expect(tape.tensors.map(({ shape }) => shape)).toEqual([
    [{ batch: 1 }, 6],
    [{ batch: 3 }, 2],
  ])
})

it('makes numbers sums of products of two symbols', () => {
  const tape = generalTape({ batch: [2, 3, 5], kept: [1, 2, 4] }, ({ batch: B = 0, kept: K = 0 }) =>
    scope(() => {
      const [x, k] = [tensor(wave(B * 6), [B, 6]), tensor(wave(K), [1, K])]
      return record({ inputs: { x, k }, named: new Map() }, () => {
        const outer = mul(reshape(x, [B, 6, 1]), expand(reshape(k, [1, 1, K]), [B, 6, K]))
        return { y: narrow(reshape(outer, [B * K * 6]), 0, K, B * K + 3 - K) }
      })
    }),
  )
  expect(tape.tensors.at(-1)!.shape).toEqual([{ '1': 3, kept: -1, 'batch*kept': 1 }])
  expect(tape.calls.at(-1)!.args.slice(1)).toEqual([
    0,
    { size: { kept: 1 } },
    { size: { '1': 3, kept: -1, 'batch*kept': 1 } },
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
    'a number that is no sum of products',
    (x) => narrow(reshape(x, [6 * size(x)]), 0, 0, size(x) ** 2 - 6 * size(x) + 10),
    'is 2, 5, 17',
  ],
  [
    'rows that differ',
    (x) => add(x, reshape(tensor(wave(size(x)), [size(x)]), [size(x), 1])),
    'the values of tensor 1',
  ],
  ['values that differ', (x) => mul(x, tensor([size(x)], [1])), 'the values of tensor 1'],
  ['numbers that depend on the batch', (x) => mul(x, 1 / size(x)), 'is 0.5, 0.2, 0.142'],
  [
    'other operators',
    (x) => (size(x) === 2 ? add(x, 1) : mul(x, 1)),
    'aten::add.Scalar and aten::mul.Scalar',
  ],
  ['more operators', (x) => (size(x) === 2 ? add(x, 1) : mul(add(x, 1), 2)), '1, 2, 2 operators'],
  [
    'other lists',
    (x) => select(size(x) === 2 ? reshape(x, [2, 6]) : reshape(x, [size(x), 6, 1]), 1, 0),
    'an argument of',
  ],
])('refuses %s', (_, body, message) => {
  expect(() => general(body)).toThrow(message)
})
