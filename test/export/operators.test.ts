// Every row of the table against LibTorch: recorded with batches of two, three and four, run with five.
import { describe, expect, it } from 'vitest'
import { generalTape } from '../../src/export/general-tape.ts'
import { operators } from '../../src/export/operators.ts'
import { translate } from '../../src/export/translate.ts'
import { ops } from '../../src/index.ts'
import { type Argument, call, callMany } from '../../src/tensor/call.ts'
import { dtypeCode } from '../../src/tensor/dtype.ts'
import { record } from '../../src/tensor/record.ts'
import { scope } from '../../src/tensor/scope.ts'
import { fromArray, type Tensor, tensor, toFloats } from '../../src/tensor/tensor.ts'
import { expectClose, product, wave } from '../tolerance.ts'
import { runGraph } from './run-graph.ts'

/** x is [B, 3, 4], and no number is 0. */
type Body = (x: Tensor) => Tensor
interface Row {
  readonly uses: readonly string[]
  readonly body: Body
  /** Of the input; default: a wave. */
  readonly values?: (n: number) => number[]
}

const positive = (n: number) => wave(n).map((x) => Math.abs(x) + 0.1)
const withNaN = (n: number) => wave(n).map((x, i) => (i % 7 === 3 ? Number.NaN : x))
const withExtremes = (n: number) =>
  wave(n).map((x, i) => [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, x, x][i % 5]!)
const row = tensor(wave(4, 5), [4])
const integers = (values: readonly number[], shape: readonly number[]) =>
  fromArray(BigInt64Array.from(values, BigInt), shape, 'int64')
const batch = (x: Tensor) => x.shape[0]!
const float = (x: Tensor) => ops.toDtype(x, 'float32')

const picture = (x: Tensor) => ops.unsqueeze(x, 1)
const convolved = (x: Tensor, shape: number[], bias: Tensor, how: Argument[]) =>
  call('conv2d', picture(x), tensor(wave(product(shape), 7), shape), bias, ...how)
const enlarged = (x: Tensor, size: number[], corners: boolean) =>
  call('upsample_bilinear2d', picture(x), size, corners, null, null)

const rows: Record<string, Row> = {
  'add a tensor': { uses: ['add.Tensor'], body: (x) => ops.add(x, row) },
  'add what is made of the input': {
    uses: ['add.Tensor'],
    body: (x) => ops.add(x, ops.meanOver(x, [1], true)),
  },
  'add a constant of all samples': {
    uses: ['add.Tensor'],
    body: (x) => ops.add(x, ops.expand(ops.reshape(row, [1, 1, 4]), [batch(x), 3, 4])),
  },
  'add a constant that has the batch to what has not': {
    uses: ['add.Tensor', 'sum'],
    body: (x) =>
      ops.mul(x, ops.add(ops.sum(ops.mul(x, 0)), ops.expand(ops.reshape(row, [1, 1, 4]), [batch(x), 3, 4]))),
  },
  'add a number': { uses: ['add.Scalar'], body: (x) => ops.add(x, 0.25) },
  'subtract a tensor': { uses: ['sub.Tensor'], body: (x) => ops.sub(row, x) },
  'subtract a number': { uses: ['sub.Scalar'], body: (x) => ops.sub(x, 3) },
  'multiply by a tensor': { uses: ['mul.Tensor'], body: (x) => ops.mul(x, row) },
  'multiply by a number': { uses: ['mul.Scalar'], body: (x) => ops.mul(x, -1.5) },
  'divide by a tensor': { uses: ['div.Tensor'], body: (x) => ops.div(row, x) },
  'divide by a number': { uses: ['div.Scalar'], body: (x) => ops.div(x, 7) },
  maximum: { uses: ['maximum'], body: (x) => call('maximum', x, row), values: withNaN },
  minimum: { uses: ['minimum'], body: (x) => call('minimum', x, row), values: withNaN },
  square: { uses: ['pow.Tensor_Scalar'], body: ops.square },
  sqrt: { uses: ['sqrt'], body: ops.sqrt, values: positive },
  abs: { uses: ['abs'], body: ops.abs },
  exp: { uses: ['exp'], body: (x) => call('exp', x) },
  sigmoid: { uses: ['sigmoid'], body: ops.sigmoid },
  log: { uses: ['log'], body: (x) => call('log', x), values: positive },
  neg: { uses: ['neg'], body: (x) => call('neg', x) },
  tanh: { uses: ['tanh'], body: (x) => call('tanh', ops.mul(x, 3)) },
  relu: { uses: ['relu'], body: (x) => call('relu', x) },
  'clamp below by its own operator': { uses: ['clamp_min'], body: (x) => call('clamp_min', x, 0.1) },
  'the length of rows': {
    uses: ['norm.ScalarOpt_dim'],
    body: (x) => ops.div(x, call('norm.ScalarOpt_dim', x, 2, [-1], true)),
  },
  'the length of columns, not kept': {
    uses: ['norm.ScalarOpt_dim'],
    body: (x) => call('norm.ScalarOpt_dim', x, 2, [1], false),
  },
  argmax: { uses: ['argmax'], body: (x) => float(call('argmax', x, -1, false)) },
  'argmax, kept': { uses: ['argmax'], body: (x) => float(call('argmax', x, 1, true)) },
  'clamp below': { uses: ['clamp'], body: (x) => call('clamp', x, 0.1, null) },
  'clamp on both sides': { uses: ['clamp'], body: (x) => call('clamp', x, -0.2, 0.1) },
  isnan: { uses: ['isnan', 'to.dtype'], body: (x) => float(call('isnan', x)), values: withNaN },
  nan_to_num: {
    uses: ['nan_to_num'],
    body: (x) => call('nan_to_num', x, 0.5, null, null),
    values: withExtremes,
  },
  any: {
    uses: ['any.dim'],
    body: (x) => float(call('any.dim', call('isnan', x), 1, false)),
    values: withNaN,
  },
  'any, kept': {
    uses: ['any.dim'],
    body: (x) => float(call('any.dim', call('isnan', x), -1, true)),
    values: withNaN,
  },
  chosen: {
    uses: ['gt.Scalar', 'where.self'],
    body: (x) => call('where.self', call('gt.Scalar', x, 0), x, call('abs', x)),
  },
  greater: { uses: ['gt.Scalar'], body: (x) => float(call('gt.Scalar', x, 0)) },
  sum: { uses: ['sum'], body: (x) => ops.add(x, ops.sum(x)) },
  'sum over dimensions': {
    uses: ['sum.dim_IntList'],
    body: (x) => call('sum.dim_IntList', x, [1], false, null),
  },
  mean: { uses: ['mean'], body: (x) => ops.add(x, ops.mean(x)) },
  'mean over dimensions': { uses: ['mean.dim'], body: (x) => ops.meanOver(x, [-1, 1], true) },
  matmul: { uses: ['matmul', 'transpose.int'], body: (x) => ops.matmul(x, ops.transpose(x, -2, -1)) },
  linear: {
    uses: ['linear'],
    body: (x) => ops.linear(x, tensor(wave(20, 3), [5, 4]), tensor(wave(5, 4), [5])),
  },
  'linear without bias': { uses: ['linear'], body: (x) => ops.linear(x, tensor(wave(20, 3), [5, 4])) },
  gelu: { uses: ['gelu'], body: (x) => ops.gelu(ops.mul(x, 4)) },
  'gelu by tanh': { uses: ['gelu'], body: (x) => call('gelu', ops.mul(x, 4), 'tanh') },
  'cosines and sines': {
    uses: ['cos', 'sin'],
    body: (x) => ops.sub(call('cos', ops.mul(x, 7)), call('sin', x)),
  },
  embedding: {
    uses: ['embedding'],
    body: (x) =>
      call('embedding', ops.reshape(x, [batch(x) * 3, 4]), integers([2, 0, 2, 1], [2, 2]), -1, false, false),
  },
  softmax: { uses: ['softmax.int'], body: (x) => ops.softmax(ops.mul(x, 3), 1) },
  'layer norm': { uses: ['layer_norm'], body: (x) => ops.layerNorm(x, row, tensor(wave(4, 6), [4]), 1e-3) },
  'a convolution of 3 × 3 with zeros around': {
    uses: ['conv2d'],
    body: (x) => convolved(x, [5, 1, 3, 3], tensor(wave(5, 8), [5]), [[1, 1], [1, 1], [1, 1], 1]),
  },
  'a convolution with strides, dilated, in groups, without bias': {
    uses: ['conv2d'],
    body: (x) =>
      call(
        'conv2d',
        ops.reshape(ops.cat([x, ops.mul(x, 2)], 1), [batch(x), 2, 3, 4]),
        ...[tensor(wave(24, 7), [4, 1, 2, 3]), null, [2, 1], [1, 2], [1, 2], 2],
      ),
  },
  'a transposed convolution that doubles': {
    uses: ['conv_transpose2d.input'],
    body: (x) =>
      call(
        'conv_transpose2d.input',
        ops.reshape(x, [batch(x), 3, 2, 2]),
        ...[tensor(wave(96, 7), [3, 2, 4, 4]), tensor(wave(2, 8), [2])],
        ...[[2, 2], [1, 1], [0, 0], 1, [1, 1]],
      ),
  },
  'a transposed convolution in groups, with more at the end, without bias': {
    uses: ['conv_transpose2d.input'],
    body: (x) =>
      call(
        'conv_transpose2d.input',
        ops.reshape(ops.cat([x, x], 1), [batch(x), 4, 3, 2]),
        ...[tensor(wave(48, 7), [4, 2, 3, 2]), null, [3, 2], [1, 0], [1, 1], 2, [1, 2]],
      ),
  },
  'enlarging bilinearly': {
    uses: ['upsample_bilinear2d'],
    body: (x) => enlarged(x, [7, 12], false),
  },
  'enlarging bilinearly to the corners': {
    uses: ['upsample_bilinear2d'],
    body: (x) => enlarged(x, [9, 10], true),
  },
  reshape: { uses: ['reshape'], body: (x) => ops.reshape(x, [batch(x) * 3, 2, 2]) },
  unsqueeze: { uses: ['unsqueeze'], body: (x) => ops.unsqueeze(x, -1) },
  permute: { uses: ['permute'], body: (x) => ops.permute(x, [2, 0, 1]) },
  transpose: { uses: ['transpose.int'], body: (x) => ops.transpose(x, 0, -1) },
  expand: { uses: ['expand'], body: (x) => ops.expand(ops.unsqueeze(x, 1), [batch(x), 2, 3, 4]) },
  narrow: { uses: ['narrow'], body: (x) => ops.narrow(x, -2, 1, 2) },
  select: { uses: ['select.int'], body: (x) => ops.select(x, 1, 2) },
  'select from the end': { uses: ['select.int'], body: (x) => ops.select(x, -1, -1) },
  unbind: { uses: ['unbind.int'], body: (x) => ops.sub(...(ops.unbind(x, 1).slice(1) as [Tensor, Tensor])) },
  cat: {
    uses: ['cat'],
    body: (x) => ops.cat([x, ops.expand(ops.reshape(row, [1, 1, 4]), [batch(x), 1, 4]), x], 1),
  },
  'cat at the end': { uses: ['cat'], body: (x) => ops.cat([x, x], -1) },
  'index select': { uses: ['index_select'], body: (x) => ops.indexSelect(x, 1, integers([2, 0, 2], [3])) },
  gather: {
    uses: ['gather'],
    body: (x) => ops.gather(x, 1, ops.expand(integers([2, 0], [1, 2, 1]), [batch(x), 2, 4])),
  },
  'sort, read by its indices': {
    uses: ['sort.stable', 'gather'],
    body: (x) => ops.gather(x, 1, ops.argsort(x, 1)),
  },
  'narrow by the batch': {
    uses: ['narrow'],
    body: (x) => ops.narrow(ops.reshape(x, [batch(x) * 3, 4]), 0, batch(x), batch(x) + 1),
  },
  'narrow from the batch to the end': {
    uses: ['narrow'],
    body: (x) => ops.narrow(ops.reshape(x, [batch(x) * 3, 4]), 0, batch(x), batch(x) * 2),
  },
  'a cast to the same type': {
    uses: ['to.dtype'],
    body: (x) => ops.add(call('to.dtype', x, dtypeCode('float32')), 1),
  },
  'the same values': {
    uses: ['contiguous', 'detach', 'clone'],
    body: (x) => ops.add(ops.clone(ops.detach(ops.contiguous(x))), 1),
  },
  'the parts of a split': {
    uses: ['unbind.int'],
    body: (x) => ops.cat(callMany('unbind.int', x, 2) as Tensor[], 1),
  },
}

const input = (B: number, values: Row['values'] = wave) => tensor(values(B * 12), [B, 3, 4])

const recorded = ({ body, values }: Row) =>
  generalTape({ batch: [2, 3, 4] }, ({ batch = 0 }) =>
    scope(() => {
      const x = input(batch, values)
      return record({ inputs: { x }, named: new Map() }, () => ({ y: body(x) }))
    }),
  )

describe('the operators', () => {
  it.each(Object.entries(rows))('%s', async (_, each) => {
    const tape = recorded(each)
    for (const name of each.uses) expect(tape.calls.map((made) => made.name)).toContain(`aten::${name}`)

    const graph = translate('test', tape)
    const { y } = await runGraph(graph, (each.values ?? wave)(60), [5, 3, 4])

    const [shape, values] = scope(() => {
      const expected = each.body(input(5, each.values))
      return [expected.shape, toFloats(expected)]
    })
    expect(y!.shape).toEqual(shape)
    expect(product(shape)).toBe(y!.values.length)
    const known = (list: Float32Array) => list.map((x) => (Number.isNaN(x) ? 1e9 : x))
    expectClose(
      known(y!.values),
      known(values),
      2e-6 *
        Math.max(
          1,
          ...known(values)
            .map(Math.abs)
            .filter((x) => x < 100),
        ),
    )
  })

  it('are all tried', () => {
    const tried = new Set(Object.values(rows).flatMap(({ uses }) => uses.map((name) => `aten::${name}`)))
    expect(Object.keys(operators).filter((name) => !tried.has(name))).toEqual([])
  })

  it('that are in no row are named, with their place', () => {
    const each: Row = { uses: [], body: (x) => call('tan', ops.add(x, 1)) }
    const tape = recorded(each)
    expect(() => translate('test', tape)).toThrow('Cannot export operator 2 of 2, aten::tan')
  })
})
