/** The pre-norm transformer block of a ViT (Dosovitskiy et al. 2020): x + attention(norm(x)), then x + mlp(norm(x)). */
import { SherdError } from '../errors.ts'
import { call } from '../tensor/call.ts'
import { inFloat32, share } from '../tensor/context.ts'
import {
  type AttentionOptions,
  addLayerNorm,
  addLayerNormWhole,
  headsOf,
  layerNorm,
  meanAttentionShares,
  type Qkv,
  selfAttention,
  selfAttentionShares,
} from '../tensor/fused.ts'
import { add, clone, mul, reshape } from '../tensor/ops.ts'
import { segment } from '../tensor/recompute.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { appendRows, type TableRows } from '../token/sequence.ts'
import { tokensFrom } from '../token/take.ts'
import type { BlocksAttention } from './block-attention.ts'
import { type BlockDimensions, hiddenWidth } from './dimensions.ts'
import { activationOf, feedForwardOf } from './feed-forward.ts'
import { applyLinear, linearRows, normRows, weightAndBias } from './linear.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'
import { qkvBiases, qkvOf } from './qkv.ts'
import { ownTable, tableRow } from './relative-position.ts'

export { applyLinear, linearRows, normRows } from './linear.ts'

const layerScaleNames = ['ls1.gamma', 'ls2.gamma'] as const

/** The rows of `depth` blocks called `<prefix>.0` …; `prefix` is `blocks` or `decoder_blocks`. */
export function blockRows(prefix: string, dimensions: BlockDimensions): ParameterRow[] {
  const { width, depth, heads, qkvBias = 'all', layerScale, relativePositions } = dimensions
  const feedForward = feedForwardOf(dimensions)
  const scale = (block: string, half: 0 | 1): ParameterRow[] => {
    if (!layerScale) return []
    const name = (layerScale.names ?? layerScaleNames)[half]
    return [{ name: `${block}.${name}`, shape: [width], initial: { value: layerScale.initial } }]
  }
  const hasTable = relativePositions && relativePositions.tables !== 'shared'
  return Array.from({ length: depth }, (_, i) => `${prefix}.${i}`).flatMap((block) => [
    ...normRows(`${block}.norm1`, width),
    ...qkvBiases[qkvBias].rows(block, width),
    ...(hasTable ? [tableRow(`${block}.${ownTable}`, relativePositions, heads)] : []),
    ...linearRows(`${block}.attn.proj`, width, width),
    ...scale(block, 0),
    ...normRows(`${block}.norm2`, width),
    ...feedForward.rows(`${block}.mlp`, width, hiddenWidth(dimensions)),
    ...scale(block, 1),
  ])
}

/** An intermediate result of a block. */
export type Tap =
  /** The tokens after block `block`, [B, N, D]; −1: the input of the first. */
  | { readonly block: number; readonly of: 'output' }
  /** [B, A, N, d] */
  | { readonly block: number; readonly of: 'query' | 'key' | 'value' }
  /** The softmax [B, A, queries, N] of the first `queries` tokens; default all. */
  | { readonly block: number; readonly of: 'attention'; readonly queries?: number }
  /** Its mean over the tokens from `from` on, [B, A, 1, N]. */
  | { readonly block: number; readonly of: 'mean attention'; readonly from: number }

export interface BlocksOptions {
  /** Index of the first token whose result is read: the last block computes only the tokens from it on. */
  readonly from?: number
  /** Further tokens that samples share, such as mask tokens, appended to the given ones. */
  readonly shared?: TableRows
  /** [B, N] 0 for tokens that are excluded from attention, else 1. Default: all 1. */
  readonly present?: Tensor
  /** Changes the residual branch of a half of a block (0 attention, 1 mlp); see `drop-path.ts`. */
  readonly onChange?: (change: Tensor, block: number, half: 0 | 1) => Tensor
  readonly attention?: BlocksAttention
  readonly taps?: readonly Tap[]
}

export interface BlocksResult {
  /** [B, N − from, D] */
  readonly sequence: Tensor
  /** In the requested order. */
  readonly taps: readonly Tensor[]
}

/** `runBlocks` without taps. */
export const applyBlocks = (
  tokens: Tensor,
  weights: Weights,
  norm: Weights | null,
  dimensions: BlockDimensions,
  options: Omit<BlocksOptions, 'taps'> = {},
): Tensor => runBlocks(tokens, weights, norm, dimensions, options).sequence

/**
 * `depth` blocks and the final norm, if any: tokens [B, N, D] → [B, N − from, D]. The addition of a residual branch is fused with the
 * next norm, so each block passes on the tokens and the pending change. The first block computes query, key and value of a shared
 * token once for all samples. Each block is a scope, and a segment for activation checkpointing that outputs its taps.
 */
export function runBlocks(
  tokens: Tensor,
  weights: Weights,
  norm: Weights | null,
  dimensions: BlockDimensions,
  options: BlocksOptions = {},
): BlocksResult {
  const { depth, heads, layerNormEpsilon, qkvBias = 'all', layerScale } = dimensions
  const { from = 0, shared, present, onChange = (change) => change, attention, taps = [] } = options
  for (const { block, of } of taps)
    if (!Number.isInteger(block) || block < (of === 'output' ? -1 : 0) || block >= depth)
      throw new SherdError(
        'VALUE',
        `A tap on the ${of} of block ${block}: expected a block from 0 to ${depth - 1}, which are computed`,
      )
  const feedForward = feedForwardOf(dimensions)
  const activation = activationOf(dimensions)
  // Before queries and keys, and at the end.
  const normed = (x: Tensor, w: Weights) => inFloat32(() => layerNorm(x, weightAndBias(w), layerNormEpsilon))
  const addNorm = (x: Tensor, change: Tensor, w: Weights) =>
    addLayerNormWhole(x, change, weightAndBias(w), layerNormEpsilon)
  const [, own] = expectShape(tokens, ['B', 'N', 'D'], 'applyBlocks: tokens')
  const N = own + (shared?.which.shape[1] ?? 0)
  const keyBias = present && reshape(call('log', present), [present.shape[0]!, 1, 1, N]) // 0 or −∞
  const wanted = (x: Tensor) => tokensFrom(x, from)
  const scaled = (change: Tensor, w: Weights, half: 0 | 1) =>
    layerScale ? mul(change, w((layerScale.names ?? layerScaleNames)[half])) : change

  // The input of a block, and its queries, keys and values.
  const enterFirst = (w: Weights, x: Tensor, table?: Tensor, which?: Tensor) => {
    const qkv = (each: Tensor) => qkvOf(normed(each, within(w, 'norm1')), w, qkvBias)
    if (!table || !which) return { x, qkv: qkv(x) }
    const shared = qkv(table)
    const all = qkv(x).map((part, i) => appendRows(part, { table: shared[i]!, which })) as unknown as Qkv
    return { x: appendRows(x, { table, which }), qkv: all }
  }
  const enter = (w: Weights, before: Tensor, change: Tensor) => {
    const { sum, normed } = addNorm(before, change, within(w, 'norm1'))
    return { x: sum, qkv: qkvOf(normed, w, qkvBias) }
  }

  const found = new Map<string, Tensor>()
  const keyOf = (tap: Tap) =>
    JSON.stringify([tap.block, tap.of, 'queries' in tap ? tap.queries : 'from' in tap ? tap.from : null])
  const distinct = [...new Map(taps.map((tap) => [keyOf(tap), tap])).values()]
  // The output of a block is available once the next one has added the pending change.
  const tapsIn = (i: number) =>
    distinct.filter(({ block, of }) => (of === 'output' ? block + 1 === i : block === i))
  const tapped = (tap: Tap, x: Tensor, qkv: Qkv, options: AttentionOptions) => {
    if (tap.of === 'output') return tap.block < 0 ? clone(x) : x // an input of a segment may not be its output
    if (tap.of === 'attention') return selfAttentionShares(qkv, heads, tap.queries ?? N, options)
    if (tap.of === 'mean attention') return meanAttentionShares(qkv, heads, tap.from, options)
    return headsOf(qkv, heads, options.onQk)[{ query: 0, key: 1, value: 2 }[tap.of]]!
  }
  const take = (i: number, made: readonly Tensor[]) => {
    for (const [n, tap] of tapsIn(i).entries()) found.set(keyOf(tap), made[n]!)
  }

  let stream: readonly Tensor[] = shared ? [tokens, shared.table] : [tokens]
  const given = [
    ...(keyBias ? [keyBias] : []),
    ...(shared ? [shared.which] : []),
    ...(attention?.given ?? []),
  ]
  const optionsOf = (w: Weights, key: Tensor | undefined, more: readonly Tensor[]): AttentionOptions => {
    const { bias, onQk } = attention ?? {}
    const own = bias?.(w, more)
    return {
      bias: own && key ? add(own, key) : (own ?? key),
      onQk: onQk && ((q, k) => onQk(q, k, more)),
    }
  }
  for (let i = 0; i < depth; i++) {
    const w = within(weights, String(i))
    const last = i === depth - 1
    const [x, change, ...made] = scope(() =>
      segment(
        stream,
        ([first, second], more) => {
          const key = keyBias && more[0]
          const which = shared && more[keyBias ? 1 : 0]
          const { x, qkv } = i === 0 ? enterFirst(w, first!, second, which) : enter(w, first!, second!)
          const options = optionsOf(w, key, more.slice(more.length - (attention?.given.length ?? 0)))
          const attended = selfAttention(qkv, heads, last ? from : 0, options)
          const mixed = onChange(scaled(applyLinear(attended, within(w, 'attn.proj')), w, 0), i, 0)
          const norm2 = weightAndBias(within(w, 'norm2'))
          const { sum, normed } = addLayerNorm(last ? wanted(x) : x, mixed, norm2, layerNormEpsilon)
          const fed = feedForward.apply(normed, within(w, 'mlp'), activation)
          return [
            sum,
            onChange(scaled(fed, w, 1), i, 1),
            ...tapsIn(i).map((tap) => tapped(tap, x, qkv, options)),
          ]
        },
        given,
      ),
    )
    take(i, made)
    stream = [x!, change!]
  }
  return scope(() => {
    const inOrder = () => taps.map((tap) => found.get(keyOf(tap))!)
    if (depth === 0) {
      const all = wanted(shared ? appendRows(tokens, shared) : tokens)
      return { sequence: norm ? normed(all, norm) : share(all), taps: taps.map(() => share(all)) }
    }
    // Its own segment, so that the gradients of several readers are summed before they propagate further.
    const [sequence, ...made] = segment(stream, ([x, change]) => {
      if (norm) {
        const { sum, normed } = addNorm(x!, change!, norm)
        return [normed, ...tapsIn(depth).map(() => sum)]
      }
      const sum = add(x!, change!)
      return [sum, ...tapsIn(depth).map(() => clone(sum))] // outputs of a segment must be distinct tensors
    })
    take(depth, made)
    return { sequence: sequence!, taps: inOrder() }
  })
}
