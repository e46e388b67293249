/** Builds a graph: unique names, deduplicated constants, sizes read from the inputs' shapes. */
import { SherdError } from '../errors.ts'
import {
  type Attribute,
  type Graph,
  type Initializer,
  type Node,
  type ValueInfo,
  withoutDead,
} from '../onnx/graph.ts'
import { type Size, type SymbolicSize, sizeName, symbolsIn } from '../onnx/symbolic-sizes.ts'
import type { ArrayOf, DType } from '../tensor/dtype.ts'

/** Added to the graph when a node uses it. */
export interface Constant extends Omit<ValueInfo, 'name'> {
  readonly values: ArrayOf<DType> | Int8Array
  /** As `shape`, with 1 where the shape has a symbol: all rows are equal. */
  readonly stored: readonly number[]
  /** The parameter it is or derives from. */
  readonly like?: string
}

export type Value = ValueInfo | Constant
export const isConstant = (x: Value): x is Constant => 'values' in x

/** Type, shape and preferred name of a node's result. */
export type Wanted = Omit<ValueInfo, 'name'> & { readonly like?: string | undefined }
export type Attributes = Readonly<Record<string, Attribute>>

export interface GraphBuilder {
  readonly opset: number
  /** A node with one result. */
  node(op: string, inputs: readonly Value[], wanted: Wanted, attributes?: Attributes): ValueInfo
  nodes(op: string, inputs: readonly Value[], wanted: readonly Wanted[], attributes?: Attributes): ValueInfo[]
  /** A shape as a vector of int64. */
  sizes(shape: readonly Size[]): Value
  /** Expands a constant that is stored with one row. */
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
  readonly inputs: readonly ValueInfo[]
  /** Reserved names. */
  readonly outputs: readonly string[]
  readonly opset: number
  readonly sizeNames?: Graph['sizeNames']
}

export function graphBuilder({
  inputs: given,
  outputs: reserved,
  opset,
  sizeNames = {},
}: BuilderOptions): GraphBuilder {
  const taken = new Set([...given.map(({ name }) => name), ...reserved])
  const nodes: Node[] = []
  const initializers: Initializer[] = []
  const values: ValueInfo[] = []
  const written = new Map<string | Constant, string>() // constants; small ones are keyed by content
  const shapes = new Map<string, ValueInfo>() // shapes and lengths by their expression

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
      return once(key, () =>
        shape.length === 1
          ? length(shape[0] as SymbolicSize)
          : builder.node('Concat', shape.map(vectorOf), vector(shape.length), { axis: { int: 0 } }),
      )
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
      return withoutDead({
        ...{ name, opset, nodes, initializers, values, sizeNames },
        ...{ inputs: given, outputs: ends },
      })
    },
  }
  const once = (key: string, make: () => ValueInfo): ValueInfo => {
    const made = shapes.get(key) ?? make()
    shapes.set(key, made)
    return made
  }
  const reckon = (op: string, a: Value, b: Value) => builder.node(op, [a, b], vector(1))
  /** A symbol is read from the first input with a length of that symbol alone. */
  const symbol = (name: string): ValueInfo =>
    once(name, () => {
      for (const input of given)
        for (const [dim, size] of input.shape.entries()) {
          if (typeof size === 'number' || !(name in size)) continue
          const { [name]: times = 0, '1': more = 0, ...others } = size
          if (Object.keys(others).length > 0) continue
          const bounds = { start: { int: dim }, end: { int: dim + 1 } }
          const whole = builder.node('Shape', [input], vector(1), bounds)
          const part = more === 0 ? whole : reckon('Sub', whole, integers([more]))
          return times === 1 ? part : reckon('Div', part, integers([times]))
        }
      throw new SherdError('VALUE', `no input has the length "${name}"`)
    })
  const product = (of: string, times: number): Value => {
    const [first, ...rest] = symbolsIn(of)
    if (first === undefined) return integers([times])
    const all = rest.reduce((made, name) => reckon('Mul', made, symbol(name)), symbol(first))
    return times === 1 ? all : reckon('Mul', all, integers([times]))
  }
  const length = (size: SymbolicSize): ValueInfo =>
    once(sizeName(size), () => {
      const [first, ...rest] = Object.entries(size)
        .sort(([a], [b]) => (a === '1' ? 1 : b === '1' ? -1 : 0)) // so that the first operand is not a constant
        .map(([of, times]) => product(of, times))
      return rest.reduce<Value>((sum, each) => reckon('Add', sum, each), first!) as ValueInfo
    })
  const vectorOf = (size: Size): Value => (typeof size === 'number' ? integers([size]) : length(size))
  return builder
}
