/**
 * The decoder of CrossMAE (Fu et al. 2024): mask tokens attend to the encoder's tokens, never to each other. So each is predicted by itself,
 * and as few of the hidden tokens as wanted may be decoded. Every block reads a mixture of its own of the outputs of the encoder's blocks.
 */

import { call } from '../../tensor/call.ts'
import { inFloat32 } from '../../tensor/context.ts'
import { addLayerNorm, addLayerNormWhole, crossAttention, layerNorm } from '../../tensor/fused.ts'
import { add, arange, cat, expand, matmul, ones, reshape, unbind } from '../../tensor/ops.ts'
import { segment } from '../../tensor/recompute.ts'
import { scope } from '../../tensor/scope.ts'
import { expectShape } from '../../tensor/shape.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { layoutTokens } from '../../token/layout.ts'
import { prefixLength } from '../../token/prefix.ts'
import { openPositions, rowsOf } from '../../token/sample-positions.ts'
import { rowsOfTable } from '../../token/sequence.ts'
import { checkDecoder, decoderWidths, layoutOf, positionOptions } from '../backbone-shape.ts'
import type { Tap } from '../block.ts'
import {
  type AutoencoderDimensions,
  type CrossAttentionDimensions,
  checkFeatureMaps,
  decoderBlocks,
  featureMapsOf,
  hiddenWidth,
} from '../dimensions.ts'
import { activationOf, feedForwardOf } from '../feed-forward.ts'
import { applyLinear, linearRows, normRows, weightAndBias } from '../linear.ts'
import { type ParameterRow, type Weights, within } from '../parameters.ts'
import type { Decoder, DecoderSpace } from './decoder.ts'

const mixture = 'wfm.linear.weight'

/** Its parameters, without those of heads. */
export function crossAttentionRows(d: AutoencoderDimensions<CrossAttentionDimensions>): ParameterRow[] {
  const blocks = decoderBlocks(d)
  const [E, D] = [d.decoder.width, d.encoder.width]
  const maps = featureMapsOf(d).length
  return [
    ...(maps > 0 ? [{ name: mixture, shape: [d.decoder.depth, maps], initial: 'xavier' } as const] : []),
    { name: 'mask_token', shape: [1, 1, E], initial: 'token' },
    ...Array.from({ length: d.decoder.depth }, (_, i) => i).flatMap((i) => [
      ...(maps > 0 ? normRows(`dec_norms.${i}`, D) : []),
      ...normRows(`decoder_blocks.${i}.norm1`, E),
      ...linearRows(`decoder_blocks.${i}.cross_attn.q`, E, E),
      ...linearRows(`decoder_blocks.${i}.cross_attn.kv`, D, 2 * E),
      ...linearRows(`decoder_blocks.${i}.cross_attn.proj`, E, E),
      ...normRows(`decoder_blocks.${i}.norm2`, E),
      ...feedForwardOf(blocks).rows(`decoder_blocks.${i}.mlp`, E, hiddenWidth(blocks)),
    ]),
    ...normRows('decoder_norm', E),
  ]
}

/** What each block reads, [blocks · B, S, D] of maps [B, S, D], with the weights [blocks, maps]; in float32, as the maps are. */
export function mixMaps(maps: readonly Tensor[], weights: Tensor): Tensor {
  const [B, S, D] = maps[0]!.shape as readonly [number, number, number]
  const [blocks, count] = expectShape(weights, ['blocks', maps.length], 'mixMaps: weights')
  return scope(() =>
    inFloat32(() => reshape(matmul(weights, reshape(cat(maps, 0), [count, -1])), [blocks, B, S, D])),
  )
}

/** [B, 1, 1, P + K] 0, and −∞ for padding among the kept tokens. */
const keyBias = (real: Tensor, P: number): Tensor => {
  const [B, K] = real.shape as readonly [number, number]
  return reshape(call('log', cat([ones([B, P], { device: real.device }), real], 1)), [B, 1, 1, P + K])
}

/** Throws `SHAPE` when it does not fit to the encoder. */
export function crossAttentionDecoder(
  decoder: CrossAttentionDimensions,
  { shape, device }: DecoderSpace,
): Decoder {
  checkDecoder(shape, decoder)
  const d = { encoder: shape.dimensions, decoder }
  checkFeatureMaps(d)
  const blocks = decoderBlocks(d)
  const { depth, heads, layerNormEpsilon: epsilon } = blocks
  const N = layoutTokens(layoutOf(shape))
  const positionsOf = openPositions(positionOptions(shape), decoderWidths(shape, decoder), device)
  const [feedForward, activation] = [feedForwardOf(blocks), activationOf(blocks)]
  const maps = featureMapsOf(d)
  const normed = (x: Tensor, w: Weights) => inFloat32(() => layerNorm(x, weightAndBias(w), epsilon))
  const query = (x: Tensor, w: Weights) => applyLinear(x, within(w, 'cross_attn.q'))

  /** Queries of the first block, and their tokens: those of a table are computed once, however many samples have them. */
  const enterFirst = (table: Tensor, which: Tensor, w: Weights) => {
    const rows = (x: Tensor) => rowsOfTable({ table: x, which })
    return { x: rows(table), q: rows(query(normed(table, within(w, 'norm1')), w)) }
  }
  const enter = (before: Tensor, change: Tensor, w: Weights) => {
    const norm1 = weightAndBias(within(w, 'norm1'))
    const { sum, normed: x } = addLayerNormWhole(before, change, norm1, epsilon)
    return { x: sum, q: query(x, w) }
  }

  return {
    rows: crossAttentionRows(d),
    width: decoder.width,
    ...(maps.length > 0 && {
      taps: maps.map((block): Tap => ({ block, of: 'output' })),
      readsTapsAlone: true,
    }),
    decode({ encoded, plan, view }, weights, wanted) {
      const [B, K] = expectShape(plan.kept, ['B', 'K'], 'decode: plan.kept')
      expectShape(plan.hidden, [B, 'M'], 'decode: plan.hidden')
      expectShape(encoded.sequence, [B, prefixLength(encoded.prefix) + K, d.encoder.width], 'decode: encoded')
      const where = positionsOf(view, B)
      const all = () => expand(arange(N, { dtype: 'int64', device }), [B, N])
      const which = rowsOf(where, wanted === 'hidden' ? plan.hidden : all())
      const w = (i: number) => within(weights, `decoder_blocks.${i}`)
      return scope(() => {
        const given = [which, ...(plan.real ? [keyBias(plan.real.kept, prefixLength(encoded.prefix))] : [])]
        const mixed =
          maps.length > 0
            ? segment(encoded.taps, (taps) => unbind(mixMaps(taps, weights(mixture)), 0))
            : Array.from({ length: depth }, () => encoded.sequence)
        // A mask token differs from another by its position alone.
        let stream: readonly Tensor[] = [reshape(add(where.table, weights('mask_token')), where.table.shape)]
        for (let i = 0; i < depth; i++)
          stream = scope(() =>
            segment(
              [mixed[i]!, ...stream],
              ([y, first, second], [rows, bias]) => {
                const { x, q } = second ? enter(first!, second, w(i)) : enterFirst(first!, rows!, w(i))
                const seen = maps.length > 0 ? normed(y!, within(weights, `dec_norms.${i}`)) : y!
                const kv = applyLinear(seen, within(w(i), 'cross_attn.kv'))
                const change = applyLinear(
                  crossAttention(q, kv, heads, bias),
                  within(w(i), 'cross_attn.proj'),
                )
                const norm2 = weightAndBias(within(w(i), 'norm2'))
                const { sum, normed: fed } = addLayerNorm(x, change, norm2, epsilon)
                return [sum, feedForward.apply(fed, within(w(i), 'mlp'), activation)]
              },
              given,
            ),
          )
        const norm = weightAndBias(within(weights, 'decoder_norm'))
        return addLayerNormWhole(stream[0]!, stream[1]!, norm, epsilon).normed
      })
    },
  }
}
