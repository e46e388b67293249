/**
 * Typed functions for the operators that sherd uses, with LibTorch's semantics. Shapes in comments use the alphabet of
 * `src/tensor/README.md`. Every function returns a new tensor that the open scope owns.
 */
import { call, callMany, hasOperator } from './call.ts'
import { type DType, dtypeCode } from './dtype.ts'
import { type Device, type Shape, type Tensor, toArray } from './tensor.ts'
import { upload } from './uploads.ts'

type Operand = Tensor | number

const byOperand = (name: string) => (a: Tensor, b: Operand) =>
  call(`${name}.${typeof b === 'number' ? 'Scalar' : 'Tensor'}`, a, b)

// Arithmetic, with broadcasting
export const add = byOperand('add')
export const sub = byOperand('sub')
export const mul = byOperand('mul')
export const div = byOperand('div')
export const square = (x: Tensor) => call('pow.Tensor_Scalar', x, 2)
export const sqrt = (x: Tensor) => call('sqrt', x)
export const abs = (x: Tensor) => call('abs', x)

// Reductions
export const sum = (x: Tensor) => call('sum', x)
export const mean = (x: Tensor) => call('mean', x)
export const all = (x: Tensor) => call('all', x)
export const max = (x: Tensor) => call('max', x)
export const meanOver = (x: Tensor, dims: readonly number[], keepDim = false) =>
  call('mean.dim', x, dims, keepDim)
/** The variance; `unbiased` divides by n − 1. */
export const varianceOver = (
  x: Tensor,
  dims: readonly number[],
  options: { unbiased: boolean; keepDim?: boolean },
) => call('var.dim', x, dims, options.unbiased, options.keepDim ?? false)

// Products
export const matmul = (a: Tensor, b: Tensor) => call('matmul', a, b)
/** x Wᵀ + b for x [..., in], W [out, in], b [out]. */
export const linear = (x: Tensor, weight: Tensor, bias: Tensor | null = null) =>
  call('linear', x, weight, bias)

// Networks
export const gelu = (x: Tensor) => call('gelu', x)
export const softmax = (x: Tensor, dim: number) => call('softmax.int', x, dim, null)
export const sigmoid = (x: Tensor) => call('sigmoid', x)
export const layerNorm = (x: Tensor, weight: Tensor, bias: Tensor, epsilon: number) =>
  call('layer_norm', x, weight.shape, weight, bias, epsilon)

// Shape: views where LibTorch can make one
export const reshape = (x: Tensor, shape: Shape) => call('reshape', x, shape)
export const permute = (x: Tensor, dims: readonly number[]) => call('permute', x, dims)
export const transpose = (x: Tensor, a: number, b: number) => call('transpose.int', x, a, b)
export const expand = (x: Tensor, shape: Shape) => call('expand', x, shape)
export const narrow = (x: Tensor, dim: number, start: number, length: number) =>
  call('narrow', x, dim, start, length)
export const select = (x: Tensor, dim: number, index: number) => call('select.int', x, dim, index)
export const unsqueeze = (x: Tensor, dim: number) => call('unsqueeze', x, dim)
export const unbind = (x: Tensor, dim: number) => callMany('unbind.int', x, dim) as Tensor[]
export const cat = (tensors: readonly Tensor[], dim: number) => call('cat', tensors, dim)
export const contiguous = (x: Tensor) => call('contiguous', x)
export const detach = (x: Tensor) => call('detach', x)
export const clone = (x: Tensor) => call('clone', x)

// Indices
/** The rows of x [R, …] at `indices` [K]; its gradient adds up what came from the same row. */
export const indexSelect = (x: Tensor, dim: number, indices: Tensor) => call('index_select', x, dim, indices)
export const gather = (x: Tensor, dim: number, indices: Tensor) => call('gather', x, dim, indices)
/** Indices in ascending order of x; equal values keep their order. */
export const argsort = (x: Tensor, dim: number) => callMany('sort.stable', x, true, dim, false)[1] as Tensor
export const scatterValue = (x: Tensor, dim: number, indices: Tensor, value: number) =>
  call('scatter.value', x, dim, indices, value)

// Creation and conversion
interface Kind {
  readonly dtype?: DType
  readonly device?: Device
}
const kind = ({ dtype = 'float32', device = 'cpu' }: Kind) => [dtypeCode(dtype), null, device, null] as const
export const zeros = (shape: Shape, options: Kind = {}) => call('zeros', shape, ...kind(options))
export const ones = (shape: Shape, options: Kind = {}) => call('ones', shape, ...kind(options))
export const full = (shape: Shape, value: number, options: Kind = {}) =>
  call('full', shape, value, ...kind(options))
export const arange = (n: number, options: Kind = { dtype: 'int64' }) => call('arange', n, ...kind(options))
export const randn = (shape: Shape, options: Kind = {}) => call('randn', shape, ...kind(options))
export const zerosLike = (x: Tensor) => call('zeros_like', x)
export const toDtype = (x: Tensor, dtype: DType) => call('to.dtype', x, dtypeCode(dtype))
export const toDevice = (x: Tensor, device: Device) => {
  if (x.device === device) return x
  const send = () => call('to.device', x, device, dtypeCode(x.dtype))
  return x.device === 'cpu' ? upload(send, () => toArray(x)) : send()
}

/** softmax(q kᵀ / √d + bias) of q [B, A, M, d] and k [B, A, N, d]: [B, A, M, N]. A bias of −∞ leaves keys out. */
export function attentionShares(q: Tensor, k: Tensor, bias?: Tensor): Tensor {
  const scores = matmul(mul(q, q.shape.at(-1)! ** -0.5), transpose(k, -2, -1))
  return softmax(bias ? add(scores, bias) : scores, -1)
}

/**
 * The mean of v, weighed by `attentionShares`, for q, k, v [B, A, N, d]. On a GPU LibTorch's fused kernel where it has one (2.x); on a
 * CPU the three products, because the fused kernel is the slower one there in bfloat16.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, bias?: Tensor): Tensor {
  if (!bias && q.device !== 'cpu' && hasOperator('scaled_dot_product_attention'))
    return call('scaled_dot_product_attention', q, k, v)
  return matmul(attentionShares(q, k, bias), v)
}
