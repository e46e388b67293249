import { describe, expect, it } from 'vitest'
import type { Graph } from '../../src/onnx/graph.ts'
import { quantizeColumns, quantizeProducts } from '../../src/onnx/quantize.ts'
import { runGraph } from '../export/run-graph.ts'
import { expectClose, wave } from '../tolerance.ts'

describe('columns', () => {
  it('have steps of their own size', () => {
    const { values, scales } = quantizeColumns(Float32Array.of(6.4, 0.01, 0, -3.2, -0.64, 0), 3)
    expectClose(scales, [0.1, 0.01, 0], 1e-8)
    expect([...values]).toEqual([64, 1, 0, -32, -64, 0])
  })
})

const [rows, inner, columns] = [5, 40, 7]
const weights = Float32Array.from(wave(inner * columns))
const graph: Graph = {
  ...{ name: 'g', opset: 17 },
  nodes: [
    { op: 'Mul', inputs: ['x', 'two'], outputs: ['twice'], attributes: {} },
    { op: 'MatMul', inputs: ['twice', 'w'], outputs: ['a'], attributes: {} },
    { op: 'Add', inputs: ['a', 'bias'], outputs: ['y'], attributes: {} },
    { op: 'MatMul', inputs: ['twice', 'w'], outputs: ['z'], attributes: {} },
  ],
  initializers: [
    { name: 'two', type: 'float32', shape: [], values: Float32Array.of(2) },
    { name: 'w', type: 'float32', shape: [inner, columns], values: weights },
    { name: 'bias', type: 'float32', shape: [columns], values: Float32Array.from(wave(columns, 3)) },
  ],
  inputs: [{ name: 'x', type: 'float32', shape: [{ batch: 1 }, inner] }],
  outputs: ['y', 'z'].map((name) => ({ name, type: 'float32', shape: [{ batch: 1 }, columns] })),
  values: [
    { name: 'twice', type: 'float32', shape: [{ batch: 1 }, inner] },
    { name: 'a', type: 'float32', shape: [{ batch: 1 }, columns] },
  ],
}

/** The definition: x in 256 steps between its smallest and its largest number, or 0 (ONNX, DynamicQuantizeLinear). */
function quantizedRows(x: Float32Array): number[] {
  const [low, high] = [Math.min(0, ...x), Math.max(0, ...x)]
  const scale = Math.fround((high - low) / 255)
  const zero = Math.round(-low / scale)
  return Array.from(
    x,
    (value) => (Math.min(255, Math.max(0, Math.round(value / scale) + zero)) - zero) * scale,
  )
}

it('products of weights are those of eight-bit integers, each input quantised once', async () => {
  const quantized = quantizeProducts(graph)
  const x = Float32Array.from(wave(rows * inner, 9), (each) => each + 0.3)
  const { y, z } = await runGraph(quantized, x, [rows, inner])

  expect(quantized.nodes.map(({ op }) => op).filter((op) => op === 'DynamicQuantizeLinear')).toHaveLength(1)
  expect(quantized.initializers.map(({ name }) => name)).toEqual(['two', 'bias', 'w.int8', 'w.scales'])
  const given = quantizedRows(x.map((each) => 2 * each))
  const { values, scales } = quantizeColumns(weights, columns)
  const product = (r: number, c: number) =>
    given
      .slice(r * inner, (r + 1) * inner)
      .reduce((sum, each, i) => sum + each * values[i * columns + c]! * scales[c]!, 0)
  const expected = Array.from({ length: rows * columns }, (_, i) =>
    product(Math.floor(i / columns), i % columns),
  )
  expectClose(z!.values, expected, 1e-4)
  const bias = wave(columns, 3)
  expectClose(
    y!.values,
    expected.map((each, i) => each + bias[i % columns]!),
    1e-4,
  )
})

it('products of two results stay as they are', () => {
  const nodes = [{ op: 'MatMul', inputs: ['x', 'x'], outputs: ['y'], attributes: {} }]
  const attention: Graph = { ...graph, nodes, initializers: [], values: [], outputs: [graph.outputs[0]!] }
  expect(quantizeProducts(attention)).toEqual(attention)
})
