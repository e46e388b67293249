/** Puts a graph together: names that nobody else has, constants that are written once, shapes that depend on the batch. */
import type { ArrayOf, DType } from '../tensor/dtype.ts'
import type { Size } from './general-tape.ts'
import {
  type Attribute,
  type Graph,
  type Initializer,
  type Node,
  type ValueInfo,
  withoutDead,
} from './graph.ts'

/** A constant that is in the graph once a node takes it. */
export interface Constant extends Omit<ValueInfo, 'name'> {
  readonly values: ArrayOf<DType> | Int8Array
  /** As `shape`, with 1 where the shape has the batch: all rows are the same. */
  readonly stored: readonly number[]
  /** The parameter that it is, or was made of. */
  readonly like?: string
}

export type Value = ValueInfo | Constant
export const isConstant = (x: Value): x is Constant => 'values' in x

/** What a node gives: its type and shape, and the name that its value would like to have. */
export type Wanted = Omit<ValueInfo, 'name'> & { readonly like?: string | undefined }
export type Attributes = Readonly<Record<string, Attribute>>

export interface GraphBuilder {
  readonly opset: number
  /** A node with one result. */
  node(op: string, inputs: readonly Value[], wanted: Wanted, attributes?: Attributes): ValueInfo
  nodes(op: string, inputs: readonly Value[], wanted: readonly Wanted[], attributes?: Attributes): ValueInfo[]
  /** A shape as a vector of int64. */
  sizes(shape: readonly Size[]): Value
  /** A constant with all its rows, where it is stored with one. */
  whole(x: Value): Value
  graph(name: string, outputs: Readonly<Record<string, ValueInfo>>): Graph
}

export const scalar = (value: number): Constant => ({
  ...{ type: 'float32', shape: [], stored: [], values: Float32Array.of(value) },
})
export const integers = (values: readonly number[]): Constant => ({
  ...{ type: 'int64', shape: [values.length], stored: [values.length] },
  values: BigInt64Array.from(values, BigInt),
})
const vector = (n: number) => ({ type: 'int64' as const, shape: [n] })

export interface BuilderOptions {
  readonly input: ValueInfo
  /** Their names, which nothing else gets. */
  readonly outputs: readonly string[]
  readonly opset: number
}

export function graphBuilder({ input, outputs: reserved, opset }: BuilderOptions): GraphBuilder {
  const taken = new Set([input.name, ...reserved])
  const nodes: Node[] = []
  const initializers: Initializer[] = []
  const values: ValueInfo[] = []
  const written = new Map<string | Constant, string>() // constants, small ones by their content
  const shapes = new Map<string, ValueInfo>()

  const free = (like: string): string => {
    let name = like
    for (let i = 1; taken.has(name); i++) name = `${like}_${i}`
    taken.add(name)
    return name
  }
  const initializer = (x: Constant): string => {
    const { type, stored, like = 'constant' } = x
    const key = x.values.length <= 16 ? `${like} ${type}[${stored}] ${x.values}` : x
    const name = written.get(key) ?? free(like)
    if (!written.has(key)) initializers.push({ name, type, shape: stored, values: x.values })
    written.set(key, name)
    return name
  }
  const builder: GraphBuilder = {
    opset,
    node: (op, inputs, wanted, attributes) => builder.nodes(op, inputs, [wanted], attributes)[0]!,
    nodes(op, inputs, wanted, attributes = {}) {
      const names = inputs.map((x) => (isConstant(x) ? initializer(x) : x.name))
      const results = wanted.map(({ type, shape, like }) => ({ name: free(like ?? op), type, shape }))
      nodes.push({ op, attributes, inputs: names, outputs: results.map(({ name }) => name) })
      values.push(...results)
      return results
    },
    sizes(shape) {
      const fixed = shape.filter((size) => typeof size === 'number')
      if (fixed.length === shape.length) return integers(fixed)
      const key = JSON.stringify(shape)
      const made = shapes.get(key) ?? sizesByBatch(shape)
      shapes.set(key, made)
      return made
    },
    whole: (x) =>
      isConstant(x) && x.shape.some((size, dim) => size !== x.stored[dim])
        ? builder.node('Expand', [x, builder.sizes(x.shape)], { type: x.type, shape: x.shape })
        : x,
    graph(name, outputs) {
      const ends = Object.entries(outputs).map(([as, { name, type, shape }]) => {
        nodes.push({ op: 'Identity', inputs: [name], outputs: [as], attributes: {} })
        return { name: as, type, shape }
      })
      return withoutDead({ ...{ name, opset, nodes, initializers, values }, inputs: [input], outputs: ends })
    },
  }
  const sizesByBatch = (shape: readonly Size[]): ValueInfo => {
    const batch = builder.node('Shape', [input], vector(1), { start: { int: 0 }, end: { int: 1 } })
    const parts = shape.map((size) => {
      if (typeof size === 'number') return integers([size])
      return size.batch === 1 ? batch : builder.node('Mul', [batch, integers([size.batch])], vector(1))
    })
    return builder.node('Concat', parts, vector(parts.length), { axis: { int: 0 } })
  }
  return builder
}
