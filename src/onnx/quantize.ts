/**
 * Dynamic quantisation: weight matrices become int8 with a scale per column, their inputs uint8 with a scale and zero point computed at
 * run time. Only products with weights: attention scores, norms, softmax and GELU stay float32. Works on any graph.
 */
import type { Graph, Initializer, Node, ValueInfo } from './graph.ts'
import { elementTypes } from './graph.ts'

/**
 * Weights are −64 … 64. CPUs without VNNI accumulate two products in 16 bits, which the full range of int8 can overflow; 255 · 64 · 2
 * fits, and so results do not depend on the machine.
 */
const STEPS = 64

interface Columns {
  readonly values: Int8Array
  /** Scale of each column. */
  readonly scales: Float32Array
}

/** Quantises weights [rows, columns] by column. */
export function quantizeColumns(weights: Float32Array, columns: number): Columns {
  const scales = new Float32Array(columns)
  for (let i = 0; i < weights.length; i++)
    scales[i % columns] = Math.max(scales[i % columns]!, Math.abs(weights[i]!) / STEPS)
  const values = Int8Array.from(weights, (x, i) => Math.round(x / (scales[i % columns] || 1)))
  return { values, scales }
}

export function quantizeProducts(graph: Graph): Graph {
  const weights = new Map(graph.initializers.map((each) => [each.name, each]))
  const values = new Map(
    [...graph.inputs, ...graph.values, ...graph.outputs].map((each) => [each.name, each]),
  )
  const nodes: Node[] = []
  const added: ValueInfo[] = []
  const stored = new Map<string, Initializer>()
  const activations = new Map<string, { quantized: string; scale: string; zero: string }>()

  const add = (node: Omit<Node, 'attributes'> & Partial<Node>, ...infos: Omit<ValueInfo, 'name'>[]) => {
    nodes.push({ attributes: {}, ...node })
    added.push(...infos.map((info, i) => ({ ...info, name: node.outputs[i]! })))
  }
  const quantized = (x: string, shape: ValueInfo['shape']) => {
    const before = activations.get(x)
    if (before) return before
    const made = { quantized: `${x}.uint8`, scale: `${x}.scale`, zero: `${x}.zero` }
    add(
      { op: 'DynamicQuantizeLinear', inputs: [x], outputs: [made.quantized, made.scale, made.zero] },
      { type: 'uint8', shape },
      { type: 'float32', shape: [] },
      { type: 'uint8', shape: [] },
    )
    activations.set(x, made)
    return made
  }
  for (const node of graph.nodes) {
    const [x = '', name = ''] = node.inputs
    const weight = weights.get(name)
    const input = values.get(x)
    if (node.op !== 'MatMul' || weight?.type !== 'float32' || weight.shape.length !== 2 || !input) {
      nodes.push(node)
      continue
    }
    const columns = weight.shape[1]!
    const [result = ''] = node.outputs
    const { shape } = values.get(result)!
    if (!stored.has(`${name}.int8`)) {
      const { values: steps, scales } = quantizeColumns(weight.values as Float32Array, columns)
      for (const each of [
        { name: `${name}.int8`, type: 'int8', shape: weight.shape, values: steps },
        { name: `${name}.scales`, type: 'float32', shape: [columns], values: scales },
      ] as const)
        stored.set(each.name, each)
    }
    const a = quantized(x, input.shape)
    const [sums, floats, scale] = [`${result}.int32`, `${result}.float32`, `${result}.factor`]
    add(
      { op: 'MatMulInteger', inputs: [a.quantized, `${name}.int8`, a.zero], outputs: [sums] },
      { type: 'int32', shape },
    )
    const to = { int: elementTypes.float32.code }
    add({ op: 'Cast', inputs: [sums], outputs: [floats], attributes: { to } }, { type: 'float32', shape })
    add(
      { op: 'Mul', inputs: [a.scale, `${name}.scales`], outputs: [scale] },
      { type: 'float32', shape: [columns] },
    )
    nodes.push({ op: 'Mul', inputs: [floats, scale], outputs: [result], attributes: {} })
  }
  const taken = new Set(nodes.flatMap(({ inputs }) => inputs))
  const kept = graph.initializers.filter((each) => taken.has(each.name))
  return { ...graph, nodes, initializers: [...kept, ...stored.values()], values: [...graph.values, ...added] }
}
