/**
 * The light decoder of He et al. 2021, section 3: it gets the latent and a learned mask token for every hidden patch.
 * A transformer does not care about the order of its tokens, only about their positions; so the sequence stays in the
 * order cls, kept, hidden, and nothing is shuffled back unless somebody asks for the patches in image order.
 */
import { add, cat, narrow, reshape } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { MaskPlan } from '../token/mask.ts'
import { tokenSequence } from '../token/sequence.ts'
import { take } from '../token/take.ts'
import { applyBlocks, applyLinear, blockRows, linearRows, normRows } from './block.ts'
import { type AutoencoderDimensions, decoderBlocks, patchWidth } from './dimensions.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'

/** The rows of a decoder whose features become pixels by what `headRows` describes. */
export function decoderRowsWith(headRows: readonly ParameterRow[], d: AutoencoderDimensions): ParameterRow[] {
  return [
    ...linearRows('decoder_embed', d.encoder.width, d.decoder.width),
    { name: 'mask_token', shape: [1, 1, d.decoder.width], initial: 'token' },
    ...blockRows('decoder_blocks', decoderBlocks(d)),
    ...normRows('decoder_norm', d.decoder.width),
    ...headRows,
  ]
}

export const decoderRows = (d: AutoencoderDimensions): ParameterRow[] =>
  decoderRowsWith(linearRows('decoder_pred', d.decoder.width, patchWidth(d.encoder)), d)

export interface DecoderInput {
  /** [B, 1 + K, D] */
  readonly latent: Tensor
  /** Its patches are rows of `positions`. */
  readonly plan: MaskPlan
  /** [S, E]: S = N, or B · N where samples have positions of their own. */
  readonly positions: Tensor
  /** [1, 1, E] added to the cls token, which has no position in the reference. */
  readonly clsPosition?: Tensor
}

/** The features of the tokens from `from` on, of cls, K kept and M hidden patches: [B, 1 + K + M − from, E]. */
export function decoderFeatures(
  { latent, plan, positions, clsPosition }: DecoderInput,
  from: number,
  weights: Weights,
  d: AutoencoderDimensions,
): Tensor {
  const [B, K] = expectShape(plan.kept, ['B', 'K'], 'decode: plan.kept')
  expectShape(plan.hidden, [B, 'M'], 'decode: plan.hidden')
  expectShape(latent, [B, 1 + K, d.encoder.width], 'decode: latent')
  return scope(() => {
    const x = applyLinear(latent, within(weights, 'decoder_embed')) // [B, 1 + K, E]
    const tokens = tokenSequence({
      x: clsPosition ? cat([add(narrow(x, 1, 0, 1), clsPosition), narrow(x, 1, 1, K)], 1) : x,
      positions,
      kept: plan.kept,
    })
    // A mask token differs from another by its position alone, so there are as many of them as positions.
    const masks = reshape(add(positions, weights('mask_token')), positions.shape)
    return applyBlocks(
      tokens,
      within(weights, 'decoder_blocks'),
      within(weights, 'decoder_norm'),
      decoderBlocks(d),
      { from, shared: { table: masks, which: plan.hidden } },
    )
  })
}

const predict = (x: Tensor, weights: Weights) => applyLinear(x, within(weights, 'decoder_pred'))

/** The prediction [B, M, P·P·C] of the hidden patches, in the order of `plan.hidden`: all that a loss needs. */
export function decodeHidden(input: DecoderInput, weights: Weights, d: AutoencoderDimensions): Tensor {
  return scope(() => {
    const [, K] = expectShape(input.plan.kept, ['B', 'K'], 'decode: plan.kept')
    return predict(decoderFeatures(input, 1 + K, weights, d), weights)
  })
}

/** The prediction [B, N, P·P·C] of every patch in image order, for pictures and reference files. */
export function decodeAll(input: DecoderInput, weights: Weights, d: AutoencoderDimensions): Tensor {
  return scope(() => {
    expectShape(input.plan.restore, ['B', 'N'], 'decode: plan.restore')
    return take(predict(decoderFeatures(input, 1, weights, d), weights), input.plan.restore)
  })
}
