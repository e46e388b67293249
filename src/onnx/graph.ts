/** An ONNX graph as plain data. `onnx-file.ts` writes it, `check-graph.ts` checks it. */
import type { Size } from './symbolic-sizes.ts'

/** Supported element types, with their codes (TensorProto.DataType). */
export const elementTypes = {
  float32: { code: 1, bytes: 4 },
  uint8: { code: 2, bytes: 1 },
  int8: { code: 3, bytes: 1 },
  int32: { code: 6, bytes: 4 },
  int64: { code: 7, bytes: 8 },
  bool: { code: 9, bytes: 1 },
  float16: { code: 10, bytes: 2 },
} as const
export type ElementType = keyof typeof elementTypes

/** ONNX distinguishes float and int attributes. */
export type Attribute =
  | { readonly float: number }
  | { readonly int: number }
  | { readonly ints: readonly number[] }
  | { readonly text: string }

export interface Node {
  readonly op: string
  /** '' for an omitted optional input. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes: Readonly<Record<string, Attribute>>
}

export interface Initializer {
  readonly name: string
  readonly type: ElementType
  readonly shape: readonly number[]
  /** Row-major, little-endian. */
  readonly values: ArrayBufferView
}

export interface ValueInfo {
  readonly name: string
  readonly type: ElementType
  readonly shape: readonly Size[]
}

export interface Graph {
  readonly name: string
  readonly opset: number
  readonly nodes: readonly Node[]
  readonly initializers: readonly Initializer[]
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
  /** Type and shape of every other value. */
  readonly values: readonly ValueInfo[]
  /** Names of lengths in the file that replace those of `sizeName`: `{ '15-kept': 'hidden' }`. */
  readonly sizeNames?: Readonly<Record<string, string>>
}

export const elements = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)

/** Approximate size of the file, in bytes. */
export const weightBytes = ({ initializers }: Pick<Graph, 'initializers'>): number =>
  initializers.reduce((sum, { values }) => sum + values.byteLength, 0)

/** Removes nodes and initializers that no output depends on. */
export function withoutDead(graph: Graph): Graph {
  const wanted = new Set(graph.outputs.map(({ name }) => name))
  const nodes: Node[] = []
  for (const node of [...graph.nodes].reverse())
    if (node.outputs.some((name) => wanted.has(name))) {
      nodes.unshift(node)
      for (const name of node.inputs) wanted.add(name)
    }
  const made = new Set(nodes.flatMap(({ outputs }) => outputs))
  return {
    ...{ ...graph, nodes },
    initializers: graph.initializers.filter(({ name }) => wanted.has(name)),
    values: graph.values.filter(({ name }) => made.has(name)),
  }
}
