/**
 * LibTorch's operators in ONNX (opset 17), one row each. A row gets the call's arguments, and types and shapes of its results. Operators
 * without a row cannot be exported.
 */
import { SherdError } from '../errors.ts'
import type { ElementType } from '../onnx/graph.ts'
import { elementTypes } from '../onnx/graph.ts'
import { addSizes, type Size, type SymbolicSize, sameSize } from '../onnx/symbolic-sizes.ts'
import { dtypeName } from '../tensor/dtype.ts'
import type { Plain } from '../tensor/record.ts'
import {
  type Constant,
  type GraphBuilder,
  integers,
  isConstant,
  scalar,
  type Value,
  type Wanted,
} from './graph-builder.ts'

/** `size`: a number that is known only when the graph runs. */
export type OperatorArgument = Value | { readonly size: SymbolicSize } | Plain | readonly OperatorArgument[]

export interface Translation {
  readonly g: GraphBuilder
  readonly args: readonly OperatorArgument[]
  readonly wanted: readonly Wanted[]
}
type Row = (translation: Translation) => Value | readonly Value[]

// Arguments as the types that a row expects
const isValue = (x: OperatorArgument | undefined): x is Value =>
  typeof x === 'object' && x !== null && !Array.isArray(x) && 'type' in x
const unexpected = (what: string, got: unknown): never => {
  throw new SherdError('VALUE', `expected ${what}, got ${JSON.stringify(got)?.slice(0, 80)}`)
}
const value = (x: OperatorArgument | undefined): Value => (isValue(x) ? x : unexpected('a tensor', x))
const number = (x: OperatorArgument | undefined): number =>
  typeof x === 'number' ? x : unexpected('a number that does not depend on the sizes of the inputs', x)
const numbers = (x: OperatorArgument | undefined): number[] =>
  Array.isArray(x) ? x.map(number) : unexpected('a list of numbers', x)
const size = (x: OperatorArgument | undefined): Size =>
  typeof x === 'object' && x !== null && 'size' in x ? x.size : number(x)

const rank = (x: Value) => x.shape.length
const axis = (x: Value, dim: OperatorArgument | undefined): number =>
  number(dim) < 0 ? number(dim) + rank(x) : number(dim)
const int = (n: number) => ({ int: n })
const castTo = (type: ElementType) => ({ to: int(elementTypes[type].code) })

/** Whether a constant stored with one row broadcasts: the other operand has all rows of the result. */
const spreads = (x: Value, other: Value, { shape }: Wanted): boolean =>
  !isConstant(other) &&
  x.shape.every(
    (size, i) => typeof size === 'number' || sameSize(other.shape.at(i - rank(x)), shape.at(i - rank(x))),
  )

const binary =
  (op: string): Row =>
  ({ g, args, wanted: [wanted] }) => {
    const a = value(args[0])
    const b = isValue(args[1]) ? args[1] : like(a, number(args[1]))
    return g.node(
      op,
      [spreads(a, b, wanted!) ? a : g.whole(a), spreads(b, a, wanted!) ? b : g.whole(b)],
      wanted!,
    )
  }
const like = ({ type }: Value, n: number): Constant =>
  type === 'int64' ? { ...integers([n]), shape: [], stored: [] } : scalar(n)
const unary =
  (op: string): Row =>
  ({ g, args, wanted: [wanted] }) =>
    g.node(op, [value(args[0])], wanted!)
const same: Row = ({ args }) => value(args[0])
/** ONNX does not compare or reduce booleans. */
const asFloat = (g: GraphBuilder, x: Value): Value =>
  x.type === 'bool' ? g.node('Cast', [x], { type: 'float32', shape: x.shape }, castTo('float32')) : x

/** Reductions whose axes are an attribute in opset 17. */
const reduce =
  (op: string): Row =>
  ({ g, args, wanted: [wanted] }) =>
    g.node(op, [value(args[0])], wanted!, {
      ...(args.length > 1 && { axes: { ints: numbers(args[1]) } }),
      keepdims: int(args[2] === true ? 1 : 0),
    })
const sumOver: Row = ({ g, args: [x, dims, keep], wanted: [wanted] }) =>
  g.node('ReduceSum', [value(x), integers(numbers(dims))], wanted!, { keepdims: int(keep === true ? 1 : 0) })

const permuted = (g: GraphBuilder, x: Value, perm: readonly number[], wanted: Wanted): Value =>
  g.node('Transpose', [g.whole(x)], wanted, { perm: { ints: perm } })

/** Transposes a weight [out, in] to [in, out], as ONNX's MatMul reads it. */
function turned(weight: Constant): Constant {
  const [rows, columns] = weight.stored as readonly [number, number]
  const values = new Float32Array(rows * columns)
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) values[c * rows + r] = (weight.values as Float32Array)[r * columns + c]!
  return { ...weight, values, shape: [columns, rows], stored: [columns, rows] }
}

const nameOf = (x: Value) => (isConstant(x) ? x.like?.replace(/\.weight$/, '') : undefined)

const linear: Row = ({ g, args, wanted: [wanted] }) => {
  const [x, weight] = [value(args[0]), value(args[1])]
  if (!isConstant(weight)) return unexpected('a weight that is a parameter', weight)
  const name = nameOf(weight)
  if (!isValue(args[2])) return g.node('MatMul', [x, turned(weight)], { ...wanted!, like: name })
  const product = g.node('MatMul', [x, turned(weight)], { ...wanted!, like: name && `${name}.product` })
  return g.node('Add', [product, args[2]], { ...wanted!, like: name })
}

/** x · Φ(x) by the error function, or by a hyperbolic tangent, in the forms that runtimes fuse. */
const gelu: Row = ({ g, args, wanted: [wanted] }) => {
  const x = value(args[0])
  if (args[1] === 'tanh') {
    const cube = g.node('Mul', [x, g.node('Mul', [x, x], wanted!)], wanted!)
    const inner = g.node('Add', [x, g.node('Mul', [cube, scalar(0.044715)], wanted!)], wanted!)
    const tanh = g.node('Tanh', [g.node('Mul', [inner, scalar(Math.sqrt(2 / Math.PI))], wanted!)], wanted!)
    const half = g.node('Mul', [x, scalar(0.5)], wanted!)
    return g.node('Mul', [half, g.node('Add', [tanh, scalar(1)], wanted!)], { ...wanted!, like: 'Gelu' })
  }
  const erf = g.node('Erf', [g.node('Div', [x, scalar(Math.SQRT2)], wanted!)], wanted!)
  const twice = g.node('Mul', [x, g.node('Add', [erf, scalar(1)], wanted!)], wanted!)
  return g.node('Mul', [twice, scalar(0.5)], { ...wanted!, like: 'Gelu' })
}

const layerNorm: Row = ({ g, args: [x, shape, weight, bias, epsilon], wanted: [wanted] }) =>
  g.node(
    'LayerNormalization',
    [value(x), value(weight), value(bias)],
    { ...wanted!, like: nameOf(value(weight)) },
    { axis: int(-numbers(shape).length), epsilon: { float: number(epsilon) } },
  )

/** Unchanged lengths become 0, a single other symbolic one −1; several of them are computed. */
const reshape: Row = ({ g, args, wanted: [wanted] }) => {
  const x = g.whole(value(args[0]))
  const short = wanted!.shape.map((n, i) => (typeof n === 'number' ? n : sameSize(n, x.shape[i]) ? 0 : -1))
  const open = short.filter((n) => n === -1)
  return g.node('Reshape', [x, open.length > 1 ? g.sizes(wanted!.shape) : integers(short)], wanted!)
}

const unbind: Row = ({ g, args, wanted }) => {
  const x = value(args[0])
  const dim = axis(x, args[1])
  const shape = x.shape.map((size, i) => (i === dim ? 1 : size))
  const parts = g.nodes(
    'Split',
    [x],
    wanted.map(({ type }) => ({ type, shape })),
    { axis: int(dim) },
  )
  return parts.map((part, i) => g.node('Squeeze', [part, integers([dim])], wanted[i]!))
}

const slice: Row = ({ g, args: [x, dim, start, length], wanted: [wanted] }) => {
  const along = axis(value(x), dim)
  const [from, to] = [size(start), addSizes(size(start), size(length))]
  const isRest = typeof to !== 'number' && sameSize(to, value(x).shape[along])
  const end = isRest ? integers([Number.MAX_SAFE_INTEGER]) : g.sizes([to])
  return g.node('Slice', [g.whole(value(x)), g.sizes([from]), end, integers([along])], wanted!)
}

/** Indices in ascending order of distinct values; the sorted values are not available. */
const sort: Row = ({ g, args: [x, , dim, descending], wanted: [values, indices] }) => {
  const along = axis(value(x), dim)
  const attributes = { axis: int(along), largest: int(descending === true ? 1 : 0), sorted: int(1) }
  return g.nodes(
    'TopK',
    [g.whole(value(x)), g.sizes([value(x).shape[along]!])],
    [values!, indices!],
    attributes,
  )
}

const clamp: Row = ({ g, args: [x, low, high], wanted: [wanted] }) => {
  const raised = typeof low === 'number' ? g.node('Max', [value(x), scalar(low)], wanted!) : value(x)
  return typeof high === 'number' ? g.node('Min', [raised, scalar(high)], wanted!) : raised
}

const LARGEST = 3.4028234663852886e38 // largest float32, to which LibTorch maps infinity

const withoutNaN: Row = ({ g, args: [x, nan], wanted: [wanted] }) => {
  const missing = g.node('IsNaN', [value(x)], { type: 'bool', shape: wanted!.shape })
  const known = g.node('Where', [missing, scalar(typeof nan === 'number' ? nan : 0), value(x)], wanted!)
  return g.node('Clip', [known, scalar(-LARGEST), scalar(LARGEST)], wanted!)
}

const anyOver: Row = ({ g, args: [x, dim, keep], wanted: [wanted] }) => {
  const most = g.node(
    'ReduceMax',
    [asFloat(g, value(x))],
    { type: 'float32', shape: wanted!.shape },
    { axes: { ints: [axis(value(x), dim)] }, keepdims: int(keep === true ? 1 : 0) },
  )
  return g.node('Cast', [most], wanted!, castTo('bool'))
}

const cast: Row = ({ g, args: [x, code], wanted: [wanted] }) =>
  value(x).type === dtypeName(number(code))
    ? value(x)
    : g.node('Cast', [value(x)], wanted!, castTo(wanted!.type))

const compare =
  (op: string): Row =>
  ({ g, args: [x, n], wanted: [wanted] }) =>
    g.node(op, [value(x), isValue(n) ? n : like(value(x), number(n))], wanted!)

const at =
  (op: string): Row =>
  ({ g, args: [x, dim, indices], wanted: [wanted] }) =>
    g.node(op, [g.whole(value(x)), g.whole(value(indices))], wanted!, { axis: int(axis(value(x), dim)) })

const convolution: Row = ({ g, args, wanted: [wanted] }) => {
  const [x, kernel, bias, strides, padding, dilations, groups] = args
  const weight = value(kernel)
  if (!isConstant(weight)) return unexpected('a weight that is a parameter', weight)
  const pads = numbers(padding)
  return g.node(
    'Conv',
    [value(x), weight, ...(isValue(bias) ? [bias] : [])],
    { ...wanted!, like: nameOf(weight) },
    {
      kernel_shape: { ints: weight.stored.slice(2) },
      ...{ strides: { ints: numbers(strides) }, dilations: { ints: numbers(dilations) } },
      ...{ pads: { ints: [...pads, ...pads] }, group: int(number(groups)) },
    },
  )
}

const transposedConvolution: Row = ({ g, args, wanted: [wanted] }) => {
  const [x, kernel, bias, strides, padding, more, groups, dilations] = args
  const weight = value(kernel)
  if (!isConstant(weight)) return unexpected('a weight that is a parameter', weight)
  const pads = numbers(padding)
  return g.node(
    'ConvTranspose',
    [value(x), weight, ...(isValue(bias) ? [bias] : [])],
    { ...wanted!, like: nameOf(weight) },
    {
      kernel_shape: { ints: weight.stored.slice(2) },
      ...{ strides: { ints: numbers(strides) }, dilations: { ints: numbers(dilations) } },
      ...{ pads: { ints: [...pads, ...pads] }, output_padding: { ints: numbers(more) } },
      group: int(number(groups)),
    },
  )
}

/** Euclidean, over some dimensions. */
const length: Row = ({ g, args: [x, p, dims, keep], wanted: [wanted] }) =>
  number(p) === 2
    ? g.node('ReduceL2', [value(x)], wanted!, {
        ...{ axes: { ints: numbers(dims) }, keepdims: int(keep === true ? 1 : 0) },
      })
    : unexpected('the 2-norm', p)

const ABSENT: Value = { name: '', type: 'float32', shape: [] } // an omitted optional input

/** Bilinear, as in LibTorch without `align_corners`. */
const enlarged: Row = ({ g, args: [x, , alignCorners], wanted: [wanted] }) =>
  g.node('Resize', [value(x), ABSENT, ABSENT, g.sizes(wanted!.shape)], wanted!, {
    mode: { text: 'linear' },
    coordinate_transformation_mode: { text: alignCorners === true ? 'align_corners' : 'half_pixel' },
  })

export const operators: Readonly<Record<string, Row>> = {
  // Arithmetic
  'aten::add.Tensor': binary('Add'),
  'aten::add.Scalar': binary('Add'),
  'aten::sub.Tensor': binary('Sub'),
  'aten::sub.Scalar': binary('Sub'),
  'aten::mul.Tensor': binary('Mul'),
  'aten::mul.Scalar': binary('Mul'),
  'aten::div.Tensor': binary('Div'),
  'aten::div.Scalar': binary('Div'),
  'aten::maximum': binary('Max'),
  'aten::minimum': binary('Min'),
  'aten::pow.Tensor_Scalar': binary('Pow'),
  'aten::sqrt': unary('Sqrt'),
  'aten::abs': unary('Abs'),
  'aten::cos': unary('Cos'),
  'aten::sin': unary('Sin'),
  'aten::exp': unary('Exp'),
  'aten::log': unary('Log'),
  'aten::neg': unary('Neg'),
  'aten::clamp': clamp,
  'aten::clamp_min': clamp,
  'aten::tanh': unary('Tanh'),
  'aten::relu': unary('Relu'),
  'aten::norm.ScalarOpt_dim': length,
  // Missing data
  'aten::isnan': unary('IsNaN'),
  'aten::nan_to_num': withoutNaN,
  'aten::any.dim': anyOver,
  'aten::gt.Scalar': compare('Greater'),
  'aten::where.self': ({ g, args, wanted: [wanted] }) =>
    g.node(
      'Where',
      args.map(value).map((x) => g.whole(x)),
      wanted!,
    ),
  // Reductions
  'aten::sum': ({ g, args, wanted: [wanted] }) =>
    g.node('ReduceSum', [value(args[0])], wanted!, { keepdims: int(0) }),
  'aten::sum.dim_IntList': sumOver,
  'aten::mean': reduce('ReduceMean'),
  'aten::argmax': ({ g, args: [x, dim, keep], wanted: [wanted] }) =>
    g.node('ArgMax', [value(x)], wanted!, {
      ...{ axis: int(axis(value(x), dim)), keepdims: int(keep === true ? 1 : 0) },
    }),
  'aten::mean.dim': reduce('ReduceMean'),
  // Products and networks
  'aten::matmul': ({ g, args, wanted: [wanted] }) =>
    g.node('MatMul', [g.whole(value(args[0])), g.whole(value(args[1]))], wanted!),
  'aten::linear': linear,
  'aten::gelu': gelu,
  'aten::softmax.int': ({ g, args: [x, dim], wanted: [wanted] }) =>
    g.node('Softmax', [value(x)], wanted!, { axis: int(axis(value(x), dim)) }),
  'aten::sigmoid': ({ g, args: [x], wanted: [wanted] }) => g.node('Sigmoid', [value(x)], wanted!),
  'aten::layer_norm': layerNorm,
  'aten::conv2d': convolution,
  'aten::conv_transpose2d.input': transposedConvolution,
  'aten::upsample_bilinear2d': enlarged,
  // Shape
  'aten::reshape': reshape,
  'aten::unsqueeze': reshape,
  'aten::permute': ({ g, args: [x, dims], wanted: [wanted] }) =>
    permuted(g, value(x), numbers(dims), wanted!),
  'aten::transpose.int': ({ g, args: [x, a, b], wanted: [wanted] }) => {
    const dims = value(x).shape.map((_, i) => i)
    const [from, to] = [axis(value(x), a), axis(value(x), b)]
    dims[from] = to
    dims[to] = from
    return permuted(g, value(x), dims, wanted!)
  },
  'aten::expand': ({ g, args: [x], wanted: [wanted] }) =>
    g.node('Expand', [g.whole(value(x)), g.sizes(wanted!.shape)], wanted!),
  'aten::narrow': slice,
  'aten::select.int': ({ g, args: [x, dim, index], wanted: [wanted] }) =>
    g.node('Gather', [value(x), { ...integers([number(index)]), shape: [], stored: [] }], wanted!, {
      axis: int(axis(value(x), dim)),
    }),
  'aten::unbind.int': unbind,
  'aten::cat': ({ g, args: [parts, dim], wanted: [wanted] }) =>
    g.node(
      'Concat',
      (parts as readonly OperatorArgument[]).map((part) => g.whole(value(part))),
      wanted!,
      { axis: int(number(dim) < 0 ? number(dim) + wanted!.shape.length : number(dim)) },
    ),
  // Indices
  'aten::embedding': ({ g, args: [table, indices], wanted: [wanted] }) =>
    g.node('Gather', [g.whole(value(table)), g.whole(value(indices))], wanted!, { axis: int(0) }),
  'aten::index_select': at('Gather'),
  'aten::gather': at('GatherElements'),
  'aten::sort.stable': sort,
  // Identities and casts
  'aten::to.dtype': cast,
  'aten::contiguous': same,
  'aten::detach': same,
  'aten::clone': same,
}
