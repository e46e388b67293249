/** A classifier: the encoder, and a linear head on one vector of its tokens (He et al. 2021, A.1, fine-tuning). */

import type { View } from '../prepare/view.ts'
import { layerNorm } from '../tensor/fused.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type Pooling, pool } from '../token/pool.ts'
import { type Backbone, backboneRows } from './backbone.ts'
import type { BackboneShape } from './backbone-shape.ts'
import type { Encoded, EncodeOptions } from './encoder.ts'
import { applyLinear, normRows } from './linear.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'

/**
 * The norm after an encoder's blocks, by the name of its parameters: `norm` of every token, or `fc_norm` of the mean of the patch tokens,
 * which are then not normed themselves (as in timm's forward_features).
 */
export type EncoderNorm = 'norm' | 'fc_norm'

interface HeadRow {
  readonly pooling: Pooling
  readonly norm: EncoderNorm
}

/** The table of heads, by what they read. */
export const heads = {
  cls: { pooling: 'cls', norm: 'norm' },
  /** fc_norm of the mean of the patch tokens: fine-tuning. */
  mean: { pooling: 'mean', norm: 'fc_norm' },
  /** The mean of the normed patch tokens: linear probes. */
  'normed-mean': { pooling: 'mean', norm: 'norm' },
  /** The cls token before any norm: linear probes of an encoder that was fine-tuned with `mean`. */
  'plain-cls': { pooling: 'cls', norm: 'fc_norm' },
} as const satisfies Record<string, HeadRow>

export type Head = keyof typeof heads
export const headNames = Object.keys(heads) as readonly Head[]

export const headReading = (pooling: Pooling, norm: EncoderNorm): Head =>
  headNames.find((name) => heads[name].pooling === pooling && heads[name].norm === norm)!

export interface ClassifierShape {
  readonly backbone: BackboneShape
  readonly classes: number
  readonly head: Head
}

/** The parameters of an encoder with this norm. */
export function normedRows(backbone: BackboneShape, norm: EncoderNorm): ParameterRow[] {
  const rows = backboneRows(backbone)
  if (norm === 'norm') return rows
  return [
    ...rows.filter(({ name }) => !name.startsWith('norm.')),
    ...normRows('fc_norm', backbone.dimensions.width),
  ]
}

export const classifierRows = ({ backbone, classes, head }: ClassifierShape): ParameterRow[] => [
  ...normedRows(backbone, heads[head].norm),
  { name: 'head.weight', shape: [classes, backbone.dimensions.width], initial: 'head' },
  { name: 'head.bias', shape: [classes], initial: 'zeros' },
]

/** Pools an encoder's tokens to [B, D]; with `fc_norm` the tokens are not normed yet. */
export function pooled(
  encoded: Encoded,
  weights: Weights,
  { pooling, norm, epsilon }: HeadRow & { readonly epsilon: number },
): Tensor {
  if (pooling === 'cls') return pool.cls(encoded)
  if (norm === 'norm') return pool.mean(encoded)
  const own = { weight: weights('fc_norm.weight'), bias: weights('fc_norm.bias') }
  return scope(() => layerNorm(pool.mean(encoded), own, epsilon))
}

export interface ClassifyOptions extends Pick<EncodeOptions, 'onChange'> {
  /** The groups of bands to encode; null for all. */
  readonly only?: readonly number[] | null
}

/** [B, classes] */
export function classify(
  view: View,
  weights: Weights,
  { backbone, head }: { readonly backbone: Backbone; readonly head: Head },
  options: ClassifyOptions = {},
): Tensor {
  return scope(() => {
    const row = heads[head]
    const encoded = backbone.encodeAll(view, weights, { ...options, norm: row.norm === 'norm' })
    const epsilon = backbone.shape.dimensions.layerNormEpsilon
    return applyLinear(pooled(encoded, weights, { ...row, epsilon }), within(weights, 'head'))
  })
}
