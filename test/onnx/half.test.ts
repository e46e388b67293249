import { expect, it } from 'vitest'
import type { Graph } from '../../src/onnx/graph.ts'
import { float16Bits, halfWeights } from '../../src/onnx/half.ts'
import { toDtype } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor, toArray } from '../../src/tensor/tensor.ts'
import { runGraph } from '../export/run-graph.ts'
import { expectClose, wave } from '../tolerance.ts'

it('rounds to float16 as LibTorch does', () => {
  const edges = [0, -0, 1, -2, 65504, 65519.99, 65520, 1e9, -1e9, 2 ** -14, 2 ** -15, 2 ** -24, 2 ** -25]
  const halves = [1 + 2 ** -11, 1 + 3 * 2 ** -11, 1.5 * 2 ** -24, 2.5 * 2 ** -24, 1.0001 * 2 ** -25, 6.1e-5]
  const values = [
    ...edges,
    ...halves,
    ...wave(500),
    ...wave(500).map((x) => x * 1e-5),
    ...wave(500).map((x) => x * 7e4),
    ...[Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  ]
  const expected = scope(() => toArray(toDtype(tensor(values, [values.length]), 'float16')))
  expect(values.map(float16Bits)).toEqual(Array.from(expected, Number))
  expect(float16Bits(Number.NaN) & 0x7fff).toBeGreaterThan(0x7c00)
})

const graphOf = (weights: readonly number[]): Graph => ({
  ...{ name: 'g', opset: 17 },
  nodes: [
    { op: 'MatMul', inputs: ['x', 'w'], outputs: ['a'], attributes: {} },
    { op: 'Add', inputs: ['a', 'b'], outputs: ['y'], attributes: {} },
  ],
  initializers: [
    { name: 'w', type: 'float32', shape: [2, 3], values: Float32Array.from(weights) },
    { name: 'b', type: 'float32', shape: [3], values: Float32Array.of(0.1, 0.2, 0.3) },
  ],
  inputs: [{ name: 'x', type: 'float32', shape: [{ batch: 1 }, 2] }],
  outputs: [{ name: 'y', type: 'float32', shape: [{ batch: 1 }, 3] }],
  values: [{ name: 'a', type: 'float32', shape: [{ batch: 1 }, 3] }],
})

it('stores matrices in half the bytes, and computes with what is left of them', async () => {
  const graph = halfWeights(graphOf([0.1, 1 / 3, 1, 2, 3, 1e-3]))

  expect(graph.initializers.map(({ name, type }) => `${name} ${type}`)).toEqual([
    'w.float16 float16',
    'b float32',
  ])
  const { y } = await runGraph(graph, [1, 1], [1, 2])
  const rounded = [0.0999755859375, 0.333251953125, 1, 2, 3, 0.0010004043579101562]
  expectClose(
    y!.values,
    [0, 1, 2].map((i) => rounded[i]! + rounded[i + 3]! + (i + 1) / 10),
    1e-6,
  )
})

it('refuses weights beyond float16', () => {
  expect(() => halfWeights(graphOf([1, 2, 3, 4, 5, 7e4]))).toThrow('w has weights beyond 65504')
})
