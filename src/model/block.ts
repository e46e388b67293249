/** The pre-norm transformer block of a ViT (Dosovitskiy et al. 2020): x + attention(norm(x)), then x + mlp(norm(x)). */
import { addLayerNorm, layerNorm, linear, mlp, selfAttention, type WeightAndBias } from '../tensor/fused.ts'
import { narrow } from '../tensor/ops.ts'
import { segment } from '../tensor/recompute.ts'
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

const pair = (weights: Weights): WeightAndBias => ({ weight: weights('weight'), bias: weights('bias') })

export const applyLinear = (x: Tensor, weights: Weights) => linear(x, pair(weights))

/** Multi-head self-attention of x [B, N, D], for the tokens from `from` on: [B, N − from, D]. */
const applyAttention = (x: Tensor, weights: Weights, heads: number, from: number) =>
  applyLinear(selfAttention(applyLinear(x, within(weights, 'qkv')), heads, from), within(weights, 'proj'))

const applyMlp = (x: Tensor, weights: Weights) =>
  mlp(x, pair(within(weights, 'fc1')), pair(within(weights, 'fc2')))

/**
 * `depth` blocks and the norm behind them, tokens [B, N, D] → [B, N − from, D]. The last block computes only the tokens
 * from `from` on, which are all that is read of it. What a half of a block adds to the tokens is added where the next norm
 * reads them, so each block hands on the tokens and what is still to be added. Each block is a scope, and a segment for
 * activation checkpointing.
 */
export function applyBlocks(
  tokens: Tensor,
  weights: Weights,
  norm: Weights,
  { depth, heads, layerNormEpsilon }: BlockDimensions,
  from = 0,
): Tensor {
  const addNorm = (x: Tensor, change: Tensor | undefined, w: Weights) =>
    change
      ? addLayerNorm(x, change, pair(w), layerNormEpsilon)
      : { sum: x, normed: layerNorm(x, pair(w), layerNormEpsilon) }
  const [, N] = expectShape(tokens, ['B', 'N', 'D'], 'applyBlocks: tokens')
  const wanted = (x: Tensor) => (from === 0 ? x : narrow(x, 1, from, N - from))
  let stream: readonly Tensor[] = [tokens] // the tokens and, after the first block, what is still to be added
  for (let i = 0; i < depth; i++) {
    const w = within(weights, String(i))
    const last = i === depth - 1
    stream = scope(() =>
      segment(stream, ([x, change]) => {
        const first = addNorm(x!, change, within(w, 'norm1'))
        const mixed = applyAttention(first.normed, within(w, 'attn'), heads, last ? from : 0)
        const second = addNorm(last ? wanted(first.sum) : first.sum, mixed, within(w, 'norm2'))
        return [second.sum, applyMlp(second.normed, within(w, 'mlp'))]
      }),
    )
  }
  const [x, change] = stream
  return scope(() => addNorm(depth === 0 ? wanted(x!) : x!, change, norm).normed)
}
