/**
 * The predictor of I-JEPA (Assran et al. 2023): a narrow transformer that gets features of context tokens and a mask token with its position for
 * each token of a target block, and says their features. Target blocks do not see each other. Positions are computed, at its own width.
 */
import { add, expand, reshape, unsqueeze } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'
import { openPositions } from '../token/sample-positions.ts'
import { tokenSequence } from '../token/sequence.ts'
import { type BackboneShape, checkDecoder, decoderWidths, positionOptions } from './backbone-shape.ts'
import { applyBlocks, applyLinear, blockRows, linearRows, normRows } from './block.ts'
import { type DecoderDimensions, decoderBlocks } from './dimensions.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'

export interface Predictor {
  readonly rows: readonly ParameterRow[]
  /** Features [P, B, M, D] of target tokens [P, B, M], from those [B, K, D] of the context tokens [B, K]. */
  predict(
    context: { readonly features: Tensor; readonly which: Tensor },
    targets: Tensor,
    weights: Weights,
  ): Tensor
}

/** Throws `SHAPE` where it does not fit the encoder. */
export function openPredictor(
  predictor: Pick<DecoderDimensions, 'width' | 'depth' | 'heads'>,
  { shape, device }: { readonly shape: BackboneShape; readonly device: Device },
): Predictor {
  checkDecoder(shape, predictor)
  const { width: D } = shape.dimensions
  const blocks = decoderBlocks({ encoder: shape.dimensions, decoder: predictor })
  const positionsOf = openPositions(positionOptions(shape), decoderWidths(shape, predictor), device)
  const view = { times: null, resolution: null }
  return {
    rows: [
      ...linearRows('predictor_embed', D, predictor.width),
      { name: 'mask_token', shape: [1, 1, predictor.width], initial: 'token' },
      ...blockRows('predictor_blocks', blocks),
      ...normRows('predictor_norm', predictor.width),
      ...linearRows('predictor_proj', predictor.width, D),
    ],
    predict: ({ features, which }, targets, weights) =>
      scope(() => {
        const [B, K] = expectShape(which, ['B', 'K'], 'predict: context')
        const [P, , M] = expectShape(targets, ['P', B, 'M'], 'predict: targets')
        const { table } = positionsOf(view, B)
        const x = applyLinear(features, within(weights, 'predictor_embed'))
        const context = tokenSequence({ x, positions: table, kept: which, prefix: 0 }) // [B, K, E]
        const each = reshape(expand(unsqueeze(context, 0), [P, B, K, predictor.width]), [
          P * B,
          K,
          predictor.width,
        ])
        const said = applyBlocks(
          each,
          within(weights, 'predictor_blocks'),
          within(weights, 'predictor_norm'),
          blocks,
          {
            from: K,
            // A mask token differs from another by its position alone.
            shared: {
              table: reshape(add(table, weights('mask_token')), table.shape),
              which: reshape(targets, [P * B, M]),
            },
          },
        )
        return reshape(applyLinear(said, within(weights, 'predictor_proj')), [P, B, M, D])
      }),
  }
}
