/** The pre-norm transformer block of a ViT (Dosovitskiy et al. 2020): x + attention(norm(x)), then x + mlp(norm(x)). */
import { add, attention, gelu, layerNorm, linear, permute, reshape, unbind } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type BlockDimensions, mlpWidth } from './dimensions.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'

/** The rows of a linear map `name` from `input` to `output` numbers. */
export function linearRows(name: string, input: number, output: number): ParameterRow[] {
  return [
    { name: `${name}.weight`, shape: [output, input], initial: 'xavier' },
    { name: `${name}.bias`, shape: [output], initial: 'zeros' },
  ]
}

/** The rows of a layer norm. */
export function normRows(name: string, width: number): ParameterRow[] {
  return [
    { name: `${name}.weight`, shape: [width], initial: 'ones' },
    { name: `${name}.bias`, shape: [width], initial: 'zeros' },
  ]
}

/** The rows of `depth` blocks called `<prefix>.0` …; `prefix` is `blocks` or `decoder_blocks`. */
export function blockRows(prefix: string, dimensions: BlockDimensions): ParameterRow[] {
  const { width, depth } = dimensions
  const hidden = mlpWidth(dimensions)
  return Array.from({ length: depth }, (_, i) => `${prefix}.${i}`).flatMap((block) => [
    ...normRows(`${block}.norm1`, width),
    ...linearRows(`${block}.attn.qkv`, width, 3 * width),
    ...linearRows(`${block}.attn.proj`, width, width),
    ...normRows(`${block}.norm2`, width),
    ...linearRows(`${block}.mlp.fc1`, width, hidden),
    ...linearRows(`${block}.mlp.fc2`, hidden, width),
  ])
}

export const applyLinear = (x: Tensor, weights: Weights) => linear(x, weights('weight'), weights('bias'))
export const applyNorm = (x: Tensor, weights: Weights, epsilon: number) =>
  layerNorm(x, weights('weight'), weights('bias'), epsilon)

/** Multi-head self-attention, x [B, N, D] → [B, N, D]. */
function selfAttention(x: Tensor, weights: Weights, heads: number): Tensor {
  const [B, N, D] = expectShape(x, ['B', 'N', 'D'], 'selfAttention: x')
  const qkv = reshape(applyLinear(x, within(weights, 'qkv')), [B, N, 3, heads, D / heads])
  const [q, k, v] = unbind(permute(qkv, [2, 0, 3, 1, 4]), 0) as [Tensor, Tensor, Tensor] // each [B, A, N, D/A]
  const mixed = permute(attention(q, k, v), [0, 2, 1, 3]) // [B, N, A, D/A]
  return applyLinear(reshape(mixed, [B, N, D]), within(weights, 'proj'))
}

const mlp = (x: Tensor, weights: Weights) =>
  applyLinear(gelu(applyLinear(x, within(weights, 'fc1'))), within(weights, 'fc2'))

/** `depth` blocks, tokens [B, N, D] → [B, N, D]. Each block is a scope. */
export function applyBlocks(
  tokens: Tensor,
  weights: Weights,
  { depth, heads, layerNormEpsilon }: BlockDimensions,
): Tensor {
  let x = tokens
  for (let i = 0; i < depth; i++) {
    const w = within(weights, String(i))
    x = scope(() => {
      const seen = scope(() =>
        add(x, selfAttention(applyNorm(x, within(w, 'norm1'), layerNormEpsilon), within(w, 'attn'), heads)),
      )
      return add(seen, mlp(applyNorm(seen, within(w, 'norm2'), layerNormEpsilon), within(w, 'mlp')))
    })
  }
  return x
}
