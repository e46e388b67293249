/**
 * The light decoder of He et al. 2021, section 3: it gets the latent and a learned mask token for every hidden patch.
 * A transformer does not care about the order of its tokens, only about their positions; so the sequence stays in the
 * order cls, kept, hidden, and nothing is shuffled back unless all tokens are wanted.
 */
import { add, cat, mul, narrow, ones, reshape, toDevice } from '../../tensor/ops.ts'
import { scope } from '../../tensor/scope.ts'
import { expectShape } from '../../tensor/shape.ts'
import { type Device, type Tensor, tensor } from '../../tensor/tensor.ts'
import type { MaskPlan } from '../../token/mask.ts'
import { prefixLength } from '../../token/prefix.ts'
import { openPositions, planInRows } from '../../token/sample-positions.ts'
import { tokenSequence } from '../../token/sequence.ts'
import { sineCosine } from '../../token/sine-cosine.ts'
import { take } from '../../token/take.ts'
import { checkDecoder, decoderWidths, groupsOf, positionOptions } from '../backbone-shape.ts'
import { applyBlocks, applyLinear, blockRows, linearRows, normRows } from '../block.ts'
import { type AutoencoderDimensions, type DecoderDimensions, decoderBlocks } from '../dimensions.ts'
import { type ParameterRow, within } from '../parameters.ts'
import type { Decoder, DecoderSpace } from './decoder.ts'

export interface TransformerDecoder extends DecoderDimensions {
  /** `satmae`: cls has the position of the released code. */
  readonly compat?: 'satmae' | null
}

/** Its parameters, without those of heads. */
export const transformerRows = (d: AutoencoderDimensions): ParameterRow[] => [
  ...linearRows('decoder_embed', d.encoder.width, d.decoder.width),
  { name: 'mask_token', shape: [1, 1, d.decoder.width], initial: 'token' },
  ...blockRows('decoder_blocks', decoderBlocks(d)),
  ...normRows('decoder_norm', d.decoder.width),
]

/** In the released decoder of SatMAE cls [1, 1, E] has the number behind the last group, and no place. */
function releasedClsPosition(groups: number, { width, groupWidth }: { width: number; groupWidth: number }) {
  const values = new Float32Array(width)
  values.set(sineCosine(groups, groupWidth), width - groupWidth)
  return tensor(values, [1, 1, width])
}

/** [B, P + K + M + R] 1 for tokens that others attend to: not for padding, nor for R thrown ones. */
function presentIn(
  { kept, hidden, real }: MaskPlan,
  { P, R, device }: { P: number; R: number; device: Device },
): Tensor {
  const [B, K] = kept.shape as readonly [number, number]
  const all = (count: number) => ones([B, count], { device })
  const seen = real ? [real.kept, real.hidden] : [all(K + hidden.shape[1]!)]
  return cat([all(P), ...seen, mul(all(R), 0)], 1)
}

/** Throws `SHAPE` when it does not fit to the encoder. */
export function transformerDecoder(
  { compat = null, ...decoder }: TransformerDecoder,
  { shape, device }: DecoderSpace,
): Decoder {
  checkDecoder(shape, decoder)
  const d = { encoder: shape.dimensions, decoder }
  const widths = decoderWidths(shape, decoder)
  const positionsOf = openPositions(positionOptions(shape), widths, device)
  const withCls = (x: Tensor) => {
    const position = toDevice(releasedClsPosition(groupsOf(shape).length, widths), device)
    return cat([add(narrow(x, 1, 0, 1), position), narrow(x, 1, 1, x.shape[1]! - 1)], 1)
  }
  return {
    rows: transformerRows(d),
    width: decoder.width,
    decode({ encoded, plan, view }, weights, wanted) {
      const [B, K] = expectShape(plan.kept, ['B', 'K'], 'decode: plan.kept')
      if (plan.hidden.shape[1] !== 0) expectShape(plan.hidden, [B, 'M'], 'decode: plan.hidden')
      const P = prefixLength(encoded.prefix)
      expectShape(encoded.sequence, [B, P + K, d.encoder.width], 'decode: encoded')
      const where = positionsOf(view, B)
      const { kept, hidden, thrown, real } = planInRows(where, plan)
      // Thrown tokens are asked for in pictures alone, where none attends to them, so that others are as in training.
      const [which, R] =
        wanted === 'all' && thrown ? [cat([hidden, thrown], 1), thrown.shape[1]!] : [hidden, 0]
      const features = scope(() => {
        const x = applyLinear(encoded.sequence, within(weights, 'decoder_embed')) // [B, P + K, E]
        const tokens = tokenSequence({
          x: compat ? withCls(x) : x,
          positions: where.table,
          ...{ kept, prefix: P },
        })
        // A mask token differs from another by its position alone, so there are as many of them as positions.
        const masks = () => reshape(add(where.table, weights('mask_token')), where.table.shape)
        return applyBlocks(
          tokens,
          within(weights, 'decoder_blocks'),
          within(weights, 'decoder_norm'),
          decoderBlocks(d),
          {
            from: wanted === 'hidden' ? P + K : P,
            ...(which.shape[1] !== 0 && { shared: { table: masks(), which } }),
            ...((real || R > 0) && { present: presentIn(plan, { P, R, device }) }),
          },
        )
      })
      return wanted === 'hidden' ? features : take(features, plan.restore)
    },
  }
}
