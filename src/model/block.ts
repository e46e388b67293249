/** The pre-norm transformer block of a ViT (Dosovitskiy et al. 2020): x + attention(norm(x)), then x + mlp(norm(x)). */
import { call } from '../tensor/call.ts'
import { share } from '../tensor/context.ts'
import { addLayerNorm, layerNorm, linear, mlp, selfAttention, type WeightAndBias } from '../tensor/fused.ts'
import { add, narrow, reshape } from '../tensor/ops.ts'
import { segment } from '../tensor/recompute.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { appendRows, type TableRows } from '../token/sequence.ts'
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

const applyMlp = (x: Tensor, weights: Weights) =>
  mlp(x, pair(within(weights, 'fc1')), pair(within(weights, 'fc2')))

export interface BlocksOptions {
  /** The first token whose result is read: the last block computes only those from it on. */
  readonly from?: number
  /** Tokens behind the given ones that many samples have in common, such as mask tokens. */
  readonly shared?: TableRows
  /** [B, N] 1 for tokens that are there, 0 for those that no other may attend to. By default all are there. */
  readonly present?: Tensor
  /** Gives what a half of a block (0 attention, 1 mlp) adds to the tokens; see `drop-path.ts`. */
  readonly onChange?: (change: Tensor, block: number, half: 0 | 1) => Tensor
  /** Looks at a block's attention [B, A, N, N] after the softmax (N − from rows in the last); freed when the block ends. */
  readonly onAttention?: (probabilities: Tensor, block: number) => void
}

/**
 * `depth` blocks and the norm behind them, if any, tokens [B, N, D] → [B, N − from, D]. What a half of a block adds to the tokens
 * is added where the next norm reads them, so each block hands on the tokens and what is still to be added. The first block
 * makes query, key and value of a shared token once for all samples. Each block is a scope, and a segment for activation
 * checkpointing.
 */
export function applyBlocks(
  tokens: Tensor,
  weights: Weights,
  norm: Weights | null,
  { depth, heads, layerNormEpsilon }: BlockDimensions,
  { from = 0, shared, present, onChange = (change) => change, onAttention }: BlocksOptions = {},
): Tensor {
  const normed = (x: Tensor, w: Weights) => layerNorm(x, pair(w), layerNormEpsilon)
  const addNorm = (x: Tensor, change: Tensor, w: Weights) =>
    addLayerNorm(x, change, pair(w), layerNormEpsilon)
  const [, own] = expectShape(tokens, ['B', 'N', 'D'], 'applyBlocks: tokens')
  const N = own + (shared?.which.shape[1] ?? 0)
  const keyBias = present && reshape(call('log', present), [present.shape[0]!, 1, 1, N]) // 0 or −∞
  const wanted = (x: Tensor) => (from === 0 ? x : narrow(x, 1, from, N - from))

  // The tokens that a block gets, and their queries, keys and values.
  const enterFirst = (w: Weights, x: Tensor, table?: Tensor, which?: Tensor) => {
    const qkv = (each: Tensor) => applyLinear(normed(each, within(w, 'norm1')), within(w, 'attn.qkv'))
    if (!table || !which) return { x, qkv: qkv(x) }
    return { x: appendRows(x, { table, which }), qkv: appendRows(qkv(x), { table: qkv(table), which }) }
  }
  const enter = (w: Weights, before: Tensor, change: Tensor) => {
    const { sum, normed } = addNorm(before, change, within(w, 'norm1'))
    return { x: sum, qkv: applyLinear(normed, within(w, 'attn.qkv')) }
  }

  let stream: readonly Tensor[] = shared ? [tokens, shared.table] : [tokens]
  const given = [...(keyBias ? [keyBias] : []), ...(shared ? [shared.which] : [])]
  for (let i = 0; i < depth; i++) {
    const w = within(weights, String(i))
    const last = i === depth - 1
    stream = scope(() =>
      segment(
        stream,
        ([first, second], more) => {
          const [bias, which] = keyBias ? more : [undefined, ...more]
          const { x, qkv } = i === 0 ? enterFirst(w, first!, second, which) : enter(w, first!, second!)
          const observe = onAttention && ((probabilities: Tensor) => onAttention(probabilities, i))
          const attended = selfAttention(qkv, heads, last ? from : 0, bias, observe)
          const mixed = onChange(applyLinear(attended, within(w, 'attn.proj')), i, 0)
          const { sum, normed } = addNorm(last ? wanted(x) : x, mixed, within(w, 'norm2'))
          return [sum, onChange(applyMlp(normed, within(w, 'mlp')), i, 1)]
        },
        given,
      ),
    )
  }
  return scope(() => {
    if (depth === 0) {
      const all = wanted(shared ? appendRows(tokens, shared) : tokens)
      return norm ? normed(all, norm) : share(all)
    }
    // A segment of its own: what several readers take from here is then one tensor, whose gradient is complete before it goes on.
    const [result] = segment(stream, ([x, change]) => [
      norm ? addNorm(x!, change!, norm).normed : add(x!, change!),
    ])
    return result!
  })
}
