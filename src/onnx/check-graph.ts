/**
 * Checks a graph before it is written by the rules of ONNX's checker: topological order, unique names, known inputs, consistent lengths,
 * types that the operators accept. A violation is a bug.
 */
import { invariant } from '../errors.ts'
import { type ElementType, elements, elementTypes, type Graph, type Node, type ValueInfo } from './graph.ts'

type Types = readonly (ElementType | undefined)[]
type TypeRule = (inputs: Types, outputs: Types, node: Node) => boolean

const numeric: readonly ElementType[] = ['float32', 'float16', 'int32', 'int64']
const isFloat = (type: ElementType | undefined) => type === 'float32' || type === 'float16'
const allOf = (types: Types) => types.every((type) => type === types[0])

const floats: TypeRule = (inputs, outputs) => isFloat(inputs[0]) && allOf([...inputs, ...outputs])
const numbers: TypeRule = (inputs, outputs) => numeric.includes(inputs[0]!) && allOf([...inputs, ...outputs])
/** The output has the type of the data; axes, shapes and indices are int64. */
const moved: TypeRule = ([data, ...rest], outputs) =>
  outputs.every((type) => type === data) && rest.every((type) => type === 'int64')
const compared: TypeRule = (inputs, outputs) =>
  numeric.includes(inputs[0]!) && allOf(inputs) && outputs[0] === 'bool'

/** Types of the operators that we write. */
const typeRules: Readonly<Record<string, TypeRule>> = {
  ...Object.fromEntries(['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Max', 'Min', 'Clip'].map((op) => [op, numbers])),
  ...Object.fromEntries(
    ['Sqrt', 'Abs', 'Exp', 'Log', 'Neg', 'Erf', 'Cos', 'Sin', 'Tanh', 'Relu'].map((op) => [op, floats]),
  ),
  ...Object.fromEntries(['MatMul', 'Softmax', 'Sigmoid', 'LayerNormalization'].map((op) => [op, floats])),
  ...Object.fromEntries(['ReduceMean', 'ReduceMax', 'ReduceL2'].map((op) => [op, floats])),
  ...Object.fromEntries(['Reshape', 'Expand', 'Squeeze', 'Split', 'Slice'].map((op) => [op, moved])),
  ...Object.fromEntries(['Gather', 'GatherElements', 'ReduceSum'].map((op) => [op, moved])),
  ...Object.fromEntries(['Transpose', 'Identity'].map((op) => [op, moved])),
  Concat: (inputs, outputs) => allOf([...inputs, ...outputs]),
  TopK: ([x, k], outputs) => numeric.includes(x!) && k === 'int64' && `${outputs}` === `${x},int64`,
  Shape: (_, outputs) => outputs[0] === 'int64',
  Cast: (_, outputs, { attributes: { to } }) =>
    to !== undefined && 'int' in to && elementTypes[outputs[0]!].code === to.int,
  IsNaN: (inputs, outputs) => isFloat(inputs[0]) && outputs[0] === 'bool',
  Where: ([condition, ...inputs], outputs) => condition === 'bool' && allOf([...inputs, ...outputs]),
  Greater: compared,
  Conv: floats,
  ConvTranspose: floats,
  ArgMax: ([x], outputs) => numeric.includes(x!) && outputs[0] === 'int64',
  Resize: ([x, roi, scales, sizes], outputs) =>
    isFloat(x) && outputs[0] === x && roi === undefined && scales === undefined && sizes === 'int64',
  DynamicQuantizeLinear: ([x], outputs) => x === 'float32' && `${outputs}` === 'uint8,float32,uint8',
  MatMulInteger: ([a, b, aZero], outputs) =>
    a === 'uint8' && b === 'int8' && aZero === 'uint8' && outputs[0] === 'int32',
}

/** Throws `BUG`. */
export function checkGraph(graph: Graph): void {
  const types = new Map<string, ElementType>()
  const enter = (name: string, type: ElementType) => {
    invariant(name !== '' && !types.has(name), `two values of the graph have the name "${name}"`)
    types.set(name, type)
  }
  for (const { name, type } of graph.inputs) enter(name, type)
  for (const { name, type, shape, values } of graph.initializers) {
    enter(name, type)
    invariant(
      values.byteLength === elements(shape) * elementTypes[type].bytes,
      `the initializer "${name}" has ${values.byteLength} bytes for ${type}[${shape}]`,
    )
  }
  const known = new Map([...graph.values, ...graph.outputs].map((info) => [info.name, info]))
  invariant(
    known.size === graph.values.length + graph.outputs.length,
    'a value of the graph is described twice',
  )
  for (const node of graph.nodes) checkNode(node, types, known, enter)
  for (const { name } of graph.outputs) invariant(types.has(name), `nothing makes the output "${name}"`)
  for (const name of known.keys()) invariant(types.has(name), `nothing makes the value "${name}"`)
}

function checkNode(
  node: Node,
  types: ReadonlyMap<string, ElementType>,
  known: ReadonlyMap<string, ValueInfo>,
  enter: (name: string, type: ElementType) => void,
): void {
  const where = `${node.op} "${node.outputs[0]}"`
  for (const name of node.inputs)
    invariant(name === '' || types.has(name), `${where} takes "${name}" before anything makes it`)
  for (const name of node.outputs) {
    const info = known.get(name)
    invariant(info, `unknown type of "${name}" of ${where}`)
    enter(name, info.type)
  }
  const rule = Object.hasOwn(typeRules, node.op) ? typeRules[node.op] : undefined
  invariant(rule, `${where} is an operator without a rule of types`)
  const typesOf = (names: readonly string[]) => names.map((name) => types.get(name))
  const [inputs, outputs] = [typesOf(node.inputs), typesOf(node.outputs)]
  invariant(rule(inputs, outputs, node), `${where} takes no ${inputs.join(', ')} for ${outputs.join(', ')}`)
}
