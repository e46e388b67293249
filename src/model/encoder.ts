/**
 * The encoder: a ViT on the kept tokens only (He et al. 2021, section 3). Patches are gathered before they are embedded, so hidden pixels
 * cannot reach it.
 */
import { SherdError } from '../errors.ts'
import { inFloat32 } from '../tensor/context.ts'
import { layerNorm } from '../tensor/fused.ts'
import { add, cat, expand, narrow, ones, reshape } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Grid } from '../token/grid.ts'
import { type Prefix, type Prefixed, prefixLength } from '../token/prefix.ts'
import { tokenSequence } from '../token/sequence.ts'
import { applyBlocks, type BlocksOptions, blockRows, runBlocks } from './block.ts'
import type { BlocksAttention } from './block-attention.ts'
import { type EncoderDimensions, encoderBlocks, gridOfModel, prefixOf } from './dimensions.ts'
import { normRows, weightAndBias } from './linear.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'
import { relativeAttention, sharedTable, tableRow } from './relative-position.ts'
import { rotaryAttention } from './rotary-position.ts'
import type { Places } from './stem/stem.ts'

/** The rows of an encoder with the given patch embedding. */
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

export interface EncodeOptions extends Pick<BlocksOptions, 'onChange' | 'taps'> {
  /** [B, K] 0 for patches that are excluded from attention, else 1; null: all 1. */
  readonly present?: Tensor | null
  /** Whether the final norm is applied; default true. */
  readonly norm?: boolean
  /** The last block to compute; default: all. */
  readonly until?: number | undefined
  /** Of the patches; default: that of the model's image size. */
  readonly grid?: Grid
  /** [B, K] Patch indices of the tokens, for relative positions; null: all patches. */
  readonly kept?: Tensor | null
  /** Relative or rotary positions that were made otherwise, instead of those of the grid. */
  readonly attention?: BlocksAttention | undefined
}

export interface Encoded extends Prefixed {
  /** [B, K] 0 for patches that were excluded from attention, else 1; null: all 1. */
  readonly present: Tensor | null
  readonly grid: Grid
  /** In the requested order. */
  readonly taps: readonly Tensor[]
}

const normBy = (x: Tensor, weights: Weights, d: EncoderDimensions) =>
  inFloat32(() => layerNorm(x, weightAndBias(weights), d.layerNormEpsilon))

/** Applies the final norm, for example to a tap on a block's output. */
export const finalNorm = (x: Tensor, weights: Weights, d: EncoderDimensions): Tensor =>
  normBy(x, within(weights, 'norm'), d)

type Attending = Pick<EncodeOptions, 'present' | 'kept' | 'grid' | 'attention'>

/** What blocks of an encoder attend to, on a sequence of prefix tokens and patches. */
function attending(
  { shape, device }: Tensor,
  weights: Weights,
  d: EncoderDimensions,
  { kept = null, present = null, attention, grid = gridOfModel(d) }: Attending,
): Pick<BlocksOptions, 'present' | 'attention'> {
  const P = prefixLength(prefixOf(d))
  const { relativePositions: relative, rotaryPositions: rotary } = d.variant ?? {}
  const there = present && P > 0 ? cat([ones([shape[0]!, P], { device }), present], 1) : present // the prefix always is
  const places = { grid, prefix: P, kept, device }
  return {
    ...(there && { present: there }),
    ...(relative && { attention: attention ?? relativeAttention(relative, weights, places) }),
    ...(rotary && { attention: attention ?? rotaryAttention(rotary, places) }),
  }
}

/**
 * Runs an encoder's blocks and final norm on a sequence [B, P + K, D] of prefix tokens and patches. The caller builds the sequence, with
 * masks and mask tokens. Called inside a scope.
 */
export function encode(
  sequence: Tensor,
  weights: Weights,
  d: EncoderDimensions,
  options: EncodeOptions = {},
): Encoded {
  const { norm = true, until = d.depth - 1, grid = gridOfModel(d), ...rest } = options
  const { kept = null, present = null, attention, ...more } = rest
  const { preNorm = false } = d.variant ?? {}
  if (!Number.isInteger(until) || until < -1 || until >= d.depth)
    throw new SherdError('VALUE', `encode: until: expected a block below ${d.depth}, got ${until}`)
  const made = scope(() => {
    const start = preNorm ? normBy(sequence, within(weights, 'norm_pre'), d) : sequence
    return runBlocks(
      start,
      within(weights, 'blocks'),
      norm ? within(weights, 'norm') : null,
      { ...encoderBlocks(d), depth: until + 1 },
      { ...more, ...attending(start, weights, d, { kept, present, attention, grid }) },
    )
  })
  return { ...made, prefix: prefixOf(d), grid, present }
}

/** Blocks beside those of an encoder, `<blocks>.0` …, on a sequence of its tokens that attend as they do, and a norm: [B, P + K, D]. */
export const encodeFurther = (
  sequence: Tensor,
  weights: Weights,
  d: EncoderDimensions,
  {
    blocks,
    depth,
    norm,
    ...options
  }: Attending & { readonly blocks: string; readonly depth: number; readonly norm: string },
): Tensor =>
  scope(() =>
    applyBlocks(
      sequence,
      within(weights, blocks),
      within(weights, norm),
      { ...encoderBlocks(d), depth },
      attending(sequence, weights, d, options),
    ),
  )

/** Tokens that were embedded already, and where they stand. */
export interface EmbeddedTokens extends Places {
  /** [B, K, D] the tokens to see. */
  readonly x: Tensor
}

/** [B, P + K, D]: prefix, then embedded tokens with positions. */
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

/** `encode` of the prefix and embedded tokens. `embedded` is called inside a scope. */
export function encodeTokens(
  embedded: () => EmbeddedTokens,
  weights: Weights,
  d: EncoderDimensions,
  options: EncodeOptions = {},
): Encoded {
  return scope(() => {
    const tokens = scope(() => inFloat32(() => sequenceOf(embedded(), weights, prefixOf(d))))
    return encode(tokens, weights, d, options)
  })
}
