/**
 * Operations of a transformer with fused kernels (`native/kernels/`, `native/cuda/`): one pass over memory, or a product with what follows
 * it. On other devices, or on request, they are composed of LibTorch's operators; both have the same gradients.
 */
import { call, callMany } from './call.ts'
import { engineBuild, inFloat32, keepsFloat32, productType } from './context.ts'
import { cpuBfloat16 } from './cpu.ts'
import {
  add,
  attention,
  attentionShares,
  cat,
  layerNorm as composedLayerNorm,
  linear as composedLinear,
  div,
  gelu,
  matmul,
  meanOver,
  mul,
  narrow,
  permute,
  reshape,
  toDtype,
  unbind,
  unsqueeze,
} from './ops.ts'
import { scope } from './scope.ts'
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
 * Whether the CPU's kernels run: in float32, or in bfloat16 by its vector unit. A CPU with a matrix unit (AMX) is left to LibTorch, which
 * knows how to use it.
 */
function hasCpuKernels(device: Device): boolean {
  if (chosen === 'composed' || device !== 'cpu') return false
  const type = productType(device)
  return type === 'float32' || (type === 'bfloat16' && hasBfloat16Kernels())
}

let cudaKernels: boolean | undefined

/** Whether kernels run: those of the CPU, or on a GPU in float32 or bfloat16, if the addon was compiled with them. */
export function hasKernels(device: Device): boolean {
  if (chosen === 'composed' || !device.startsWith('cuda')) return hasCpuKernels(device)
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
  return hasKernels(x.device) && !isEmpty
    ? call('sherd::linear', x, weight, bias)
    : composedLinear(x, weight, bias)
}

/** Two linear maps with the exact GELU between them, x [..., D] → [..., D]. */
export function mlp(x: Tensor, first: WeightAndBias, second: WeightAndBias): Tensor {
  return hasKernels(x.device)
    ? call('sherd::mlp', x, first.weight, first.bias, second.weight, second.bias)
    : linear(gelu(linear(x, first)), second)
}

// LibTorch's takes x and weight of one type on a CPU, where autocast does not cast it: in float32, as on a GPU and in the kernel.
const inTypeOf = (x: Tensor, { dtype }: Tensor) => (x.dtype === dtype ? x : toDtype(x, dtype))

/** The layer norm of x [..., D] over its last dimension. */
export function layerNorm(x: Tensor, { weight, bias }: WeightAndBias, epsilon: number): Tensor {
  return hasKernels(x.device)
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
  if (hasKernels(x.device)) {
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

/** `sum` and `normed` in float32 within `autocastFrozen`. */
export function addLayerNormWhole(
  x: Tensor,
  change: Tensor,
  norm: WeightAndBias,
  epsilon: number,
): { readonly sum: Tensor; readonly normed: Tensor } {
  if (!keepsFloat32() || !hasCpuKernels(x.device))
    return inFloat32(() => addLayerNorm(x, change, norm, epsilon))
  const [sum, normed] = callMany('sherd::add_layer_norm_whole', x, change, norm.weight, norm.bias, epsilon)
  return { sum: sum!, normed: normed! }
}

/** Queries, keys and values [B, N, 3·D], or queries and keys [B, N, 2·D] apart from values [B, N, D], which may be of another type. */
export type Qkv = readonly [qkv: Tensor] | readonly [qk: Tensor, v: Tensor]

/**
 * softmax(q kᵀ / √d + bias) v of queries [B, M, D] and of keys and values [B, N, 2·D] of other tokens: [B, M, D]. `bias`:
 * [1 or B, 1 or A, 1 or M, N].
 */
export function crossAttention(
  queries: Tensor,
  keysAndValues: Tensor,
  heads: number,
  bias?: Tensor | undefined,
): Tensor {
  const [B, M, D] = expectShape(queries, ['B', 'M', 'D'], 'crossAttention: queries')
  const [, N] = expectShape(keysAndValues, [B, 'N', 2 * D], 'crossAttention: keysAndValues')
  const d = D / heads
  const q = permute(reshape(queries, [B, M, heads, d]), [0, 2, 1, 3])
  const [k, v] = unbind(permute(reshape(keysAndValues, [B, N, 2, heads, d]), [2, 0, 3, 1, 4]), 0)
  const mixed = keepsFloat32()
    ? matmul(
        inFloat32(() => attentionShares(q, k!, bias)),
        v!,
      )
    : attention(q, k!, v!, bias)
  return reshape(permute(mixed, [0, 2, 1, 3]), [B, M, D])
}

const widthOf = (qkv: Qkv) => qkv.reduce((width, x) => width + x.shape[2]!, 0) / 3

/** Queries, keys and values of each head, [B, A, N, d]. */
export function headsOf(
  qkv: Qkv,
  heads: number,
  onQk?: AttentionOptions['onQk'],
): readonly [q: Tensor, k: Tensor, v: Tensor] {
  const [B, N] = expectShape(qkv[0], ['B', 'N', '3D or 2D'], 'selfAttention: qkv')
  const D = widthOf(qkv)
  const [q, k, v] = qkv.flatMap((x) =>
    unbind(permute(reshape(x, [B, N, x.shape[2]! / D, heads, D / heads]), [2, 0, 3, 1, 4]), 0),
  ) as [Tensor, Tensor, Tensor]
  return onQk ? [...onQk(q, k), v] : [q, k, v]
}

/** Of parts [B, A, N, d] one tensor [B, N, parts · A · d]. */
function together(parts: readonly Tensor[]): Tensor {
  const [B, A, N, d] = parts[0]!.shape as readonly [number, number, number, number]
  const each = parts.map((x) => unsqueeze(x, 0))
  return reshape(permute(cat(each, 0), [1, 3, 0, 2, 4]), [B, N, parts.length * A * d])
}

/** The rows of a bias from query `from` on. */
const biasFrom = (bias: Tensor | undefined, from: number) =>
  bias && from > 0 && bias.shape[2] !== 1 ? narrow(bias, 2, from, bias.shape[2]! - from) : bias

/** The softmax of the first `queries` tokens over all, [B, A, queries, N]. */
export function selfAttentionShares(
  qkv: Qkv,
  heads: number,
  queries: number,
  { bias, onQk }: AttentionOptions = {},
): Tensor {
  const [q, k] = headsOf(qkv, heads, onQk)
  const own = bias && bias.shape[2] !== 1 ? narrow(bias, 2, 0, queries) : bias
  return inFloat32(() => attentionShares(narrow(q, 2, 0, queries), k, own))
}

/** Scores that are in memory at a time. */
const MOST_SCORES = 2 ** 25

/**
 * The mean of the softmaxes of the tokens from `from` on, [B, A, 1, N]. So many rows at a time as fit `most` scores: those of all pairs
 * of a large image would not fit in memory.
 */
export function meanAttentionShares(
  qkv: Qkv,
  heads: number,
  from: number,
  { bias, onQk }: AttentionOptions = {},
  most = MOST_SCORES,
): Tensor {
  const [q, k] = headsOf(qkv, heads, onQk)
  const [B, A, N] = q.shape as readonly [number, number, number]
  // Recorded with composed kernels, all at once: the parts would be those of one size.
  const at = chosen === 'composed' ? N : Math.max(1, Math.floor(most / (B * A * N)))
  const meanOf = (first: number, count: number) =>
    scope(() => {
      const own = bias && bias.shape[2] !== 1 ? narrow(bias, 2, first, count) : bias
      return meanOver(
        inFloat32(() => attentionShares(narrow(q, 2, first, count), k, own)),
        [2],
        true,
      )
    })
  const all = N - from
  let mean = meanOf(from, Math.min(at, all))
  for (let first = from + at; first < N; first += at) {
    const count = Math.min(at, N - first)
    const seen = first - from
    mean = scope(() => div(add(mul(mean, seen), mul(meanOf(first, count), count)), seen + count))
  }
  return mean
}

/**
 * softmax(q kᵀ / √d + bias) v of `heads` heads. Only the results of the tokens from `from` on: [B, N − from, D].
 */
export function selfAttention(
  qkv: Qkv,
  heads: number,
  from = 0,
  { bias, onQk }: AttentionOptions = {},
): Tensor {
  const [first, values] = qkv
  const { device, dtype } = first
  const [B, N] = expectShape(first, ['B', 'N', '3D or 2D'], 'selfAttention: qkv')
  const D = widthOf(qkv)
  const d = D / heads
  const isFloat32 = productType(device) === 'float32'
  // Our kernel takes bfloat16 in pairs; the GPU's is flash attention, which takes bfloat16 alone, in eights.
  const fits = device === 'cpu' ? values || isFloat32 || d % 2 === 0 : !isFloat32 && d % 8 === 0
  const isFused = fits && !bias && hasKernels(device)
  const fused = (parts: Qkv) =>
    parts.length === 1
      ? call('sherd::attention', parts[0], heads, from)
      : call('sherd::attention_apart', ...parts, heads, from)
  if (isFused && !onQk) return fused(qkv)
  const [q, k, v] = headsOf(qkv, heads, onQk) // each [B, A, N, d]
  if (isFused)
    return fused(values ? [together([q, k]), values] : [together([q, k, v].map((x) => toDtype(x, dtype)))])
  const asked = from === 0 ? q : narrow(q, 2, from, N - from)
  const own = biasFrom(bias, from)
  const mixed = keepsFloat32()
    ? matmul(
        inFloat32(() => attentionShares(asked, k, own)),
        v,
      )
    : attention(asked, k, v, own)
  return reshape(permute(mixed, [0, 2, 1, 3]), [B, N - from, D])
}
