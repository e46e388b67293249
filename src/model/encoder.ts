/**
 * The encoder: a ViT that sees only the tokens it is given (He et al. 2021, section 3). Patches are picked before they are embedded,
 * so hidden pixels cannot reach it.
 */
import { SherdError } from '../errors.ts'
import { layerNorm, linear } from '../tensor/fused.ts'
import { add, cat, expand, narrow, ones, permute, reshape } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Grid } from '../token/grid.ts'
import { type Prefix, type Prefixed, prefixLength } from '../token/prefix.ts'
import { tokenSequence } from '../token/sequence.ts'
import { type BlocksOptions, blockRows, runBlocks } from './block.ts'
import { type EncoderDimensions, encoderBlocks, gridOfModel, prefixOf } from './dimensions.ts'
import { normRows, weightAndBias } from './linear.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'
import { relativeAttention, sharedTable, tableRow } from './relative-position.ts'
import { rotaryAttention } from './rotary-position.ts'

/** The rows of an encoder whose patches are embedded by what `embedRows` describes. */
export function encoderRowsWith(embedRows: readonly ParameterRow[], d: EncoderDimensions): ParameterRow[] {
  const relative = d.variant?.relativePositions
  return [
    ...prefixOf(d).map(
      ({ name, count }): ParameterRow => ({ name, shape: [1, count, d.width], initial: 'token' }),
    ),
    ...embedRows,
    ...(d.variant?.preNorm ? normRows('norm_pre', d.width) : []),
    ...(relative && relative.tables !== 'per-block' ? [tableRow(sharedTable, relative, d.heads)] : []),
    ...blockRows('blocks', encoderBlocks(d)),
    ...normRows('norm', d.width),
  ]
}

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

export interface EncodeOptions extends Pick<BlocksOptions, 'onChange' | 'taps'> {
  /** [B, K] 1 for patches that hold data, 0 for those that no token may attend to; null: all do. */
  readonly present?: Tensor | null
  /** Whether the final norm is applied; default true. */
  readonly norm?: boolean
  /** The last block that is computed; by default the last that there is. */
  readonly until?: number | undefined
  /** Of the patches; by default that of images of the model's size. */
  readonly grid?: Grid
  /** [B, K] which patches of the grid the tokens are, for relative positions; null: all. */
  readonly kept?: Tensor | null
}

export interface Encoded extends Prefixed {
  /** [B, K] 1 for patches that hold data, 0 for those that no token attended to; null when all do. */
  readonly present: Tensor | null
  readonly grid: Grid
  /** What was asked for, in that order. */
  readonly taps: readonly Tensor[]
}

const normBy = (x: Tensor, weights: Weights, d: EncoderDimensions) =>
  layerNorm(x, weightAndBias(weights), d.layerNormEpsilon)

/** The final norm of tokens that were taken before it, such as a tap on a block's output. */
export const finalNorm = (x: Tensor, weights: Weights, d: EncoderDimensions): Tensor =>
  normBy(x, within(weights, 'norm'), d)

/**
 * An encoder's blocks on a sequence [B, P + K, D] of its prefix tokens and any patches, and the final norm. Called inside a scope: which
 * patches they are, masks and mask tokens are the business of whatever made the sequence.
 */
export function encode(
  sequence: Tensor,
  weights: Weights,
  d: EncoderDimensions,
  options: EncodeOptions = {},
): Encoded {
  const { norm = true, until = d.depth - 1, grid = gridOfModel(d), ...rest } = options
  const { kept = null, present = null, ...more } = rest
  const prefix = prefixOf(d)
  const { relativePositions: relative, rotaryPositions: rotary, preNorm = false } = d.variant ?? {}
  if (!Number.isInteger(until) || until < -1 || until >= d.depth)
    throw new SherdError('VALUE', `encode: until: expected a block below ${d.depth}, got ${until}`)
  const made = scope(() => {
    const start = preNorm ? normBy(sequence, within(weights, 'norm_pre'), d) : sequence
    const [B, { device }] = [sequence.shape[0]!, sequence]
    const P = prefixLength(prefix)
    const there = present && P > 0 ? cat([ones([B, P], { device }), present], 1) : present // the prefix always is
    const places = { grid, prefix: P, kept, device }
    return runBlocks(
      start,
      within(weights, 'blocks'),
      norm ? within(weights, 'norm') : null,
      { ...encoderBlocks(d), depth: until + 1 },
      {
        ...more,
        ...(there && { present: there }),
        ...(relative && { attention: relativeAttention(relative, weights, places) }),
        ...(rotary && { attention: rotaryAttention(rotary, places) }),
      },
    )
  })
  return { ...made, prefix, grid, present }
}

/** Tokens that were embedded already, by whatever made them of pixels. */
export interface EmbeddedTokens {
  /** [B, K, D] the tokens to see. */
  readonly x: Tensor
  /** [S, D] */
  readonly positions: Tensor
  /** [B, K] the row of `positions` that each has; null: the n-th has row n. */
  readonly kept: Tensor | null
  /** [R, D] of the prefix tokens that have one. */
  readonly prefixPositions?: Tensor | null
}

/** The sequence [B, P + K, D] of embedded tokens behind the prefix. */
function sequenceOf(embedded: EmbeddedTokens, weights: Weights, prefix: Prefix): Tensor {
  const { x, positions, kept, prefixPositions } = embedded
  const [first] = prefix
  if (first && prefixLength(prefix) === 1 && !first.positioned)
    return tokenSequence({ x, positions, kept, cls: weights(first.name) })
  const [B, , D] = x.shape as readonly [number, number, number]
  let row = 0
  const tokens = prefix.map(({ name, count, positioned }) => {
    const own = expand(reshape(weights(name), [1, count, D]), [B, count, D])
    if (!positioned) return own
    row += count
    return add(own, narrow(prefixPositions!, 0, row - count, count))
  })
  return tokenSequence({ x: cat([...tokens, x], 1), positions, kept, prefix: prefixLength(prefix) })
}

/** `encode` of embedded tokens behind the prefix. `embedded` is called inside a scope. */
export function encodeTokens(
  embedded: () => EmbeddedTokens,
  weights: Weights,
  d: EncoderDimensions,
  options: EncodeOptions = {},
): Encoded {
  return scope(() => {
    const tokens = scope(() => sequenceOf(embedded(), weights, prefixOf(d)))
    return encode(tokens, weights, d, options)
  })
}
