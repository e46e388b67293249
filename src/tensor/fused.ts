/**
 * Operations of a transformer with fused kernels (`native/kernels/`, `native/cuda/`): one pass over memory, or a product with what follows
 * it. On other devices, or on request, they are composed of LibTorch's operators; both have the same gradients.
 */
import { call, callMany } from './call.ts'
import { engineBuild, productType } from './context.ts'
import { cpuBfloat16 } from './cpu.ts'
import {
  add,
  attention,
  attentionShares,
  cat,
  layerNorm as composedLayerNorm,
  linear as composedLinear,
  gelu,
  narrow,
  permute,
  reshape,
  toDtype,
  unbind,
  unsqueeze,
} from './ops.ts'
import { expectShape } from './shape.ts'
import type { Device, Tensor } from './tensor.ts'

/** `fused`: the addon's kernels where they are faster. `composed`: LibTorch's operators, to compare and debug. */
export type Kernels = 'fused' | 'composed'

let chosen: Kernels = 'fused'

export const kernelsChosen = (): Kernels => chosen

export function withKernels<T>(kernels: Kernels, body: () => T): T {
  const before = chosen
  chosen = kernels
  try {
    return body()
  } finally {
    chosen = before
  }
}

let bfloat16Kernels: boolean | undefined

function hasBfloat16Kernels(): boolean {
  bfloat16Kernels ??= engineBuild().bfloat16Kernels && cpuBfloat16() !== 'amx_bf16'
  return bfloat16Kernels
}

/**
 * Whether the kernels run: on a CPU, in float32, or in bfloat16 by its vector unit. A CPU with a matrix unit (AMX) is left
 * to LibTorch, which knows how to use it.
 */
export function hasKernels(device: Device): boolean {
  if (chosen === 'composed' || device !== 'cpu') return false
  const type = productType(device)
  return type === 'float32' || (type === 'bfloat16' && hasBfloat16Kernels())
}

let cudaKernels: boolean | undefined

/**
 * Whether the operators of a block (linear, mlp, layer norms, attention) have kernels: where `hasKernels`, and on a GPU in float32
 * or bfloat16, if the addon was compiled with them.
 */
function hasBlockKernels(device: Device): boolean {
  if (chosen === 'composed' || !device.startsWith('cuda')) return hasKernels(device)
  cudaKernels ??= engineBuild().cudaKernels
  return cudaKernels && productType(device) !== 'float16'
}

/** Weight [out, in] and bias [out] of a linear map, or weight and bias [D] of a layer norm. */
export interface WeightAndBias {
  readonly weight: Tensor
  readonly bias: Tensor
}

/** x Wᵀ + b for x [..., in] → [..., out]. No rows at all give none, and gradients of zero. */
export function linear(x: Tensor, { weight, bias }: WeightAndBias): Tensor {
  const isEmpty = x.shape.includes(0) // which the kernel refuses
  return hasBlockKernels(x.device) && !isEmpty
    ? call('sherd::linear', x, weight, bias)
    : composedLinear(x, weight, bias)
}

/** Two linear maps with the exact GELU between them, x [..., D] → [..., D]. */
export function mlp(x: Tensor, first: WeightAndBias, second: WeightAndBias): Tensor {
  return hasBlockKernels(x.device)
    ? call('sherd::mlp', x, first.weight, first.bias, second.weight, second.bias)
    : linear(gelu(linear(x, first)), second)
}

// LibTorch's takes x and weight of one type on a CPU, where autocast does not cast it: in float32, as on a GPU and in the kernel.
const inTypeOf = (x: Tensor, { dtype }: Tensor) => (x.dtype === dtype ? x : toDtype(x, dtype))

/** The layer norm of x [..., D] over its last dimension. */
export function layerNorm(x: Tensor, { weight, bias }: WeightAndBias, epsilon: number): Tensor {
  return hasBlockKernels(x.device)
    ? call('sherd::layer_norm', x, weight, bias, epsilon)
    : composedLayerNorm(inTypeOf(x, weight), weight, bias, epsilon)
}

/** The residual connection and the layer norm behind it: `sum` = x + change, `normed` = its layer norm. */
export function addLayerNorm(
  x: Tensor,
  change: Tensor,
  norm: WeightAndBias,
  epsilon: number,
): { readonly sum: Tensor; readonly normed: Tensor } {
  if (hasBlockKernels(x.device)) {
    const [sum, normed] = callMany('sherd::add_layer_norm', x, change, norm.weight, norm.bias, epsilon)
    return { sum: sum!, normed: normed! }
  }
  const sum = add(x, change)
  return { sum, normed: layerNorm(sum, norm, epsilon) }
}

/** What attention has beside queries, keys and values; the kernels have none of it, so it is then composed. */
export interface AttentionOptions {
  /** [1 or B, 1 or A, 1 or N, N] added to the scores. */
  readonly bias?: Tensor | undefined
  /** Changes queries and keys [B, A, N, d], as rotary positions do. */
  readonly onQk?: ((q: Tensor, k: Tensor) => readonly [q: Tensor, k: Tensor]) | undefined
}

/** Queries, keys and values of each head, [B, A, N, d], in qkv [B, N, 3·D]. */
export function headsOf(
  qkv: Tensor,
  heads: number,
  onQk?: AttentionOptions['onQk'],
): readonly [q: Tensor, k: Tensor, v: Tensor] {
  const [B, N, width] = expectShape(qkv, ['B', 'N', '3D'], 'selfAttention: qkv')
  const apart = permute(reshape(qkv, [B, N, 3, heads, width / 3 / heads]), [2, 0, 3, 1, 4])
  const [q, k, v] = unbind(apart, 0) as [Tensor, Tensor, Tensor]
  return onQk ? [...onQk(q, k), v] : [q, k, v]
}

/** The rows of a bias from query `from` on. */
const biasFrom = (bias: Tensor | undefined, from: number) =>
  bias && from > 0 && bias.shape[2] !== 1 ? narrow(bias, 2, from, bias.shape[2]! - from) : bias

/** The softmax of the first `queries` tokens over all, [B, A, queries, N], for qkv [B, N, 3·D]. */
export function selfAttentionShares(
  qkv: Tensor,
  heads: number,
  queries: number,
  { bias, onQk }: AttentionOptions = {},
): Tensor {
  const [q, k] = headsOf(qkv, heads, onQk)
  const own = bias && bias.shape[2] !== 1 ? narrow(bias, 2, 0, queries) : bias
  return attentionShares(narrow(q, 2, 0, queries), k, own)
}

/**
 * softmax(q kᵀ / √d + bias) v for qkv [B, N, 3·D], which holds q, k and v of `heads` heads in this order. Only the results of the
 * tokens from `from` on: [B, N − from, D].
 */
export function selfAttention(
  qkv: Tensor,
  heads: number,
  from = 0,
  { bias, onQk }: AttentionOptions = {},
): Tensor {
  const [B, N, width] = expectShape(qkv, ['B', 'N', '3D'], 'selfAttention: qkv')
  const D = width / 3
  const d = D / heads
  const isFloat32 = productType(qkv.device) === 'float32'
  // Our kernel takes bfloat16 in pairs; the GPU's is flash attention, which takes bfloat16 alone, in eights.
  const fits = qkv.device === 'cpu' ? isFloat32 || d % 2 === 0 : !isFloat32 && d % 8 === 0
  const isFused = fits && !bias && hasBlockKernels(qkv.device)
  if (isFused && !onQk) return call('sherd::attention', qkv, heads, from)
  const [q, k, v] = headsOf(qkv, heads, onQk) // each [B, A, N, d]
  if (isFused) {
    const parts = [q, k, v].map((x) => unsqueeze(toDtype(x, qkv.dtype), 0))
    const together = reshape(permute(cat(parts, 0), [1, 3, 0, 2, 4]), [B, N, width])
    return call('sherd::attention', together, heads, from)
  }
  const asked = from === 0 ? q : narrow(q, 2, from, N - from)
  const mixed = attention(asked, k, v, biasFrom(bias, from))
  return reshape(permute(mixed, [0, 2, 1, 3]), [B, N - from, D])
}
