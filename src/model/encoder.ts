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
import { type Dimensions, encoderBlocks, patchWidth } from './dimensions.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'

export function encoderRows(d: Dimensions): ParameterRow[] {
  return [
    { name: 'cls_token', shape: [1, 1, d.width], initial: 'token' },
    {
      name: 'patch_embed.proj.weight',
      shape: [d.width, d.channels, d.patchSize, d.patchSize],
      initial: 'xavier',
    },
    { name: 'patch_embed.proj.bias', shape: [d.width], initial: 'zeros' },
    ...blockRows('blocks', encoderBlocks(d)),
    ...normRows('norm', d.width),
  ]
}

/** patches [B, N, P·P·C] → [B, N, D]. The reference's convolution of stride P, as the linear map that it is. */
function embed(patches: Tensor, weights: Weights, d: Dimensions): Tensor {
  const kernel = weights('patch_embed.proj.weight') // [D, C, P, P]
  const matrix = reshape(permute(kernel, [0, 2, 3, 1]), [d.width, patchWidth(d)]) // channel last, like a patch
  return linear(patches, { weight: matrix, bias: weights('patch_embed.proj.bias') })
}

export interface EncoderInput {
  /** [B, N, P·P·C], all patches of the images. */
  readonly patches: Tensor
  /** [B, K] patch numbers to see; `null` sees all of them (feature extraction never masks). */
  readonly kept: Tensor | null
  /** [N, D] */
  readonly positions: Tensor
}

export interface EncodeOptions extends Pick<BlocksOptions, 'onChange'> {
  /** Whether the final norm is applied; default true. */
  readonly norm?: boolean
}

/** The latent [B, 1 + K, D] after the final norm; row 0 is cls. */
export function encode(
  { patches, kept, positions }: EncoderInput,
  weights: Weights,
  d: Dimensions,
  { norm = true, ...options }: EncodeOptions = {},
): Tensor {
  const [B, N] = expectShape(patches, ['B', 'N', patchWidth(d)], 'encode: patches')
  return scope(() => {
    const tokens = scope(() =>
      tokenSequence({
        x: embed(kept ? take(patches, kept) : patches, weights, d), // [B, K, D]
        positions,
        kept: kept ?? expand(arange(N, { dtype: 'int64', device: patches.device }), [B, N]),
        cls: weights('cls_token'),
      }),
    )
    const last = norm ? within(weights, 'norm') : null
    return applyBlocks(tokens, within(weights, 'blocks'), last, encoderBlocks(d), options)
  })
}
