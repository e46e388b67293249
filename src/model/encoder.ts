/**
 * The encoder: a ViT that sees only the patches it is given (He et al. 2021, section 3). Patches are picked before they
 * are embedded, so hidden pixels cannot reach it.
 */
import { linear } from '../tensor/fused.ts'
import { arange, expand, permute, reshape } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { tokenSequence } from '../token/sequence.ts'
import { take } from '../token/take.ts'
import { applyBlocks, type BlocksOptions, blockRows, normRows } from './block.ts'
import { type EncoderDimensions, patchWidth } from './dimensions.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'

/** The rows of an encoder whose patches are embedded by what `embedRows` describes. */
export function encoderRowsWith(embedRows: readonly ParameterRow[], d: EncoderDimensions): ParameterRow[] {
  return [
    { name: 'cls_token', shape: [1, 1, d.width], initial: 'token' },
    ...embedRows,
    ...blockRows('blocks', d),
    ...normRows('norm', d.width),
  ]
}

export const encoderRows = (d: EncoderDimensions): ParameterRow[] =>
  encoderRowsWith(embedRows('patch_embed', d.channels, d), d)

/** The rows of a patch embedding `name` of `channels` bands. */
export function embedRows(
  name: string,
  channels: number,
  { width, patchSize }: Pick<EncoderDimensions, 'width' | 'patchSize'>,
): ParameterRow[] {
  return [
    { name: `${name}.proj.weight`, shape: [width, channels, ...patchSize], initial: 'xavier' },
    { name: `${name}.proj.bias`, shape: [width], initial: 'zeros' },
  ]
}

/** patches […, P·P·C] → […, D]. The reference's convolution, whose stride is the patch, as the linear map that it is. */
export function embedPatches(patches: Tensor, weights: Weights): Tensor {
  const kernel = weights('proj.weight') // [D, C, h, w]
  const [D, C, h, w] = kernel.shape as readonly [number, number, number, number]
  const matrix = reshape(permute(kernel, [0, 2, 3, 1]), [D, h * w * C]) // channel last, like a patch
  return linear(patches, { weight: matrix, bias: weights('proj.bias') })
}

export interface EncoderInput {
  /** [B, N, P·P·C], all patches of the images. */
  readonly patches: Tensor
  /** [B, K] patch numbers to see; `null` sees all of them (feature extraction never masks). */
  readonly kept: Tensor | null
  /** [N, D] */
  readonly positions: Tensor
}

export interface EncodeOptions extends Pick<BlocksOptions, 'onChange' | 'onAttention' | 'present'> {
  /** Whether the final norm is applied; default true. */
  readonly norm?: boolean
}

/** Tokens that were embedded already, by whatever made them of pixels. */
export interface EmbeddedTokens {
  /** [B, K, D] the tokens to see. */
  readonly x: Tensor
  /** [S, D] */
  readonly positions: Tensor
  /** [B, K] the row of `positions` that each has; null: the n-th has row n. */
  readonly kept: Tensor | null
}

/** The latent [B, 1 + K, D] of embedded tokens after the final norm; row 0 is cls. `embedded` is called inside a scope. */
export function encodeTokens(
  embedded: () => EmbeddedTokens,
  weights: Weights,
  d: EncoderDimensions,
  { norm = true, ...options }: EncodeOptions = {},
): Tensor {
  return scope(() => {
    const tokens = scope(() => tokenSequence({ ...embedded(), cls: weights('cls_token') }))
    const last = norm ? within(weights, 'norm') : null
    return applyBlocks(tokens, within(weights, 'blocks'), last, d, options)
  })
}

/** The latent [B, 1 + K, D] after the final norm; row 0 is cls. */
export function encode(
  { patches, kept, positions }: EncoderInput,
  weights: Weights,
  d: EncoderDimensions,
  options: EncodeOptions = {},
): Tensor {
  const [B, N] = expectShape(patches, ['B', 'N', patchWidth(d)], 'encode: patches')
  const embedded = () => ({
    x: embedPatches(kept ? take(patches, kept) : patches, within(weights, 'patch_embed')), // [B, K, D]
    positions,
    kept: kept ?? expand(arange(N, { dtype: 'int64', device: patches.device }), [B, N]),
  })
  return encodeTokens(embedded, weights, d, options)
}
