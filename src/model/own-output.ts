/**
 * The vector that a published encoder itself gives of an image, behind its final norm: attention pooling (SigLIP, Zhai et al. 2023), or a
 * projection of the cls token (CLIP, Radford et al. 2021). No objective reads it, so it is no part of the encoder's own parameters.
 */
import { SherdError } from '../errors.ts'
import { layerNorm } from '../tensor/fused.ts'
import { add, attention, attentionShares, expand, permute, reshape, unbind } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { clsOf, type Prefixed } from '../token/prefix.ts'
import { type BlockDimensions, type EncoderDimensions, encoderBlocks, hiddenWidth } from './dimensions.ts'
import { feedForwards } from './feed-forward.ts'
import { applyLinear, applyMatrix, linearRows, normRows, weightAndBias } from './linear.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'

interface OutputRow {
  readonly isOf: (d: EncoderDimensions) => boolean
  readonly width: (d: EncoderDimensions) => number
  readonly rows: (d: EncoderDimensions) => ParameterRow[]
  /** Normed tokens → [B, width]. */
  readonly apply: (tokens: Prefixed, weights: Weights, d: EncoderDimensions) => Tensor
}

const POOL = 'attn_pool'
/** Its MLP is as wide as those of the blocks, and is never a gate. */
const activationOf = ({ activation = 'gelu' }: BlockDimensions) => activation

/** The query, [B, A, 1, d], and the keys and values, [B, A, tokens, d], of attention pooling. */
function poolingHeads(sequence: Tensor, pool: Weights, { heads }: EncoderDimensions) {
  const [B, , D] = sequence.shape as readonly [number, number, number]
  const ofHeads = (x: Tensor, parts: number) =>
    permute(reshape(x, [B, -1, parts, heads, D / heads]), [2, 0, 3, 1, 4]) // [parts, B, A, tokens, d]
  const query = expand(applyLinear(pool('latent'), within(pool, 'q')), [B, 1, D])
  const [q] = unbind(ofHeads(query, 1), 0)
  const [k, v] = unbind(ofHeads(applyLinear(sequence, within(pool, 'kv')), 2), 0)
  return [q!, k!, v!] as const
}

/** What makes the vector, by the part of the encoder that does. */
const outputs: readonly OutputRow[] = [
  {
    isOf: ({ variant }) => variant?.attentionPool ?? false,
    width: ({ width }) => width,
    rows: (d) => {
      const { width } = d
      const hidden = hiddenWidth(encoderBlocks(d))
      return [
        { name: `${POOL}.latent`, shape: [1, 1, width], initial: 'token' },
        ...linearRows(`${POOL}.q`, width, width),
        ...linearRows(`${POOL}.kv`, width, 2 * width),
        ...linearRows(`${POOL}.proj`, width, width),
        ...normRows(`${POOL}.norm`, width),
        ...feedForwards.mlp.rows(`${POOL}.mlp`, width, hidden),
      ]
    },
    apply: ({ sequence }, weights, d) => {
      const pool = within(weights, POOL)
      const [B, , D] = sequence.shape as readonly [number, number, number]
      const [q, k, v] = poolingHeads(sequence, pool, d)
      const mixed = reshape(permute(attention(q, k, v), [0, 2, 1, 3]), [B, D])
      const x = applyLinear(mixed, within(pool, 'proj'))
      const normed = layerNorm(x, weightAndBias(within(pool, 'norm')), d.layerNormEpsilon)
      const activation = activationOf(encoderBlocks(d))
      return add(x, feedForwards.mlp.apply(normed, within(pool, 'mlp'), activation))
    },
  },
  {
    isOf: ({ variant }) => (variant?.projection ?? null) !== null,
    width: ({ variant }) => variant!.projection!,
    rows: ({ width, variant }) => [
      { name: 'projection.weight', shape: [variant!.projection!, width], initial: 'xavier' },
    ],
    apply: (tokens, weights) => applyMatrix(clsOf(tokens), within(weights, 'projection')),
  },
]

const outputOf = (d: EncoderDimensions): OutputRow | undefined => outputs.find(({ isOf }) => isOf(d))

/** None for an encoder without an output of its own. */
export const outputRows = (d: EncoderDimensions): ParameterRow[] => outputOf(d)?.rows(d) ?? []

/** Null for an encoder without an output of its own. */
export const outputWidth = (d: EncoderDimensions): number | null => outputOf(d)?.width(d) ?? null

/** Normed tokens [B, P + N, D] → [B, `outputWidth`]. Throws `VALUE` where the encoder has no output of its own. */
export function ownOutput(tokens: Prefixed, weights: Weights, d: EncoderDimensions): Tensor {
  const row = outputOf(d)
  if (!row)
    throw new SherdError(
      'VALUE',
      'This encoder has no output of its own: it has no attention pooling and no projection',
    )
  return scope(() => row.apply(tokens, weights, d))
}

/** The softmax [B, A, 1, P + N] by which attention pooling weighs normed tokens. Of encoders that have it. */
export const poolingShares = ({ sequence }: Prefixed, weights: Weights, d: EncoderDimensions): Tensor =>
  scope(() => {
    const [q, k] = poolingHeads(sequence, within(weights, POOL), d)
    return attentionShares(q, k)
  })
