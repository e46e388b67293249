/** A classifier: the encoder, and a linear head on one vector of its tokens (He et al. 2021, A.1, fine-tuning). */

import { SherdError } from '../errors.ts'
import type { View } from '../prepare/view.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { FeatureName, WholeFeature } from '../token/feature.ts'
import { type Backbone, backboneRows } from './backbone.ts'
import type { BackboneShape } from './backbone-shape.ts'
import type { EncodeOptions } from './encoder.ts'
import { type EncoderNorm, type FeatureModel, featureOf, featureReader, wholeFeaturesOf } from './features.ts'
import { applyLinear, normRows } from './linear.ts'
import { outputRows } from './own-output.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'

export type { EncoderNorm } from './features.ts'

interface HeadRow {
  readonly feature: WholeFeature
  readonly norm: EncoderNorm
}

/** The table of heads, by what they read. */
export const heads = {
  cls: { feature: 'cls', norm: 'norm' },
  /** fc_norm of the mean of the patch tokens: fine-tuning. */
  mean: { feature: 'mean', norm: 'fc_norm' },
  /** The mean of the normed patch tokens: linear probes. */
  'normed-mean': { feature: 'mean', norm: 'norm' },
  /** The cls token before any norm: linear probes of an encoder that was fine-tuned with `mean`. */
  'plain-cls': { feature: 'cls', norm: 'fc_norm' },
  'cls+mean': { feature: 'cls+mean', norm: 'norm' },
  'plain-cls+mean': { feature: 'cls+mean', norm: 'fc_norm' },
  /** The encoder's own output; with fc_norm that is `mean`. */
  pooled: { feature: 'pooled', norm: 'norm' },
} as const satisfies Record<string, HeadRow>

export type Head = keyof typeof heads
export const headNames = Object.keys(heads) as readonly Head[]

/** Throws `VALUE` for a feature that no head reads. */
export function headReading(feature: FeatureName, norm: EncoderNorm): Head {
  const own = feature === 'pooled' && norm === 'fc_norm' ? 'mean' : feature
  const head = headNames.find((name) => heads[name].feature === own && heads[name].norm === norm)
  if (head) return head
  throw new SherdError(
    'VALUE',
    `A classifier cannot be kept that reads ${feature}: heads read ${[...new Set(headNames.map((name) => heads[name].feature))].join(', ')}.`,
  )
}

/** Heads that an encoder can be trained with: not those on cls before any norm, which would leave the final norm untrained. */
export const trainedHeads = [
  'mean',
  'normed-mean',
  'cls',
  'cls+mean',
  'pooled',
] as const satisfies readonly Head[]
export type TrainedHeadName = (typeof trainedHeads)[number]

/** Those of them that an encoder has the features for. */
export function headsOf(model: FeatureModel): TrainedHeadName[] {
  const there = wholeFeaturesOf({ ...model, norm: 'norm' })
  return trainedHeads.filter((name) => there.includes(heads[name].feature))
}

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

/** Throws `USAGE` for a head on what the encoder lacks. */
export function classifierRows({ backbone, classes, head }: ClassifierShape): ParameterRow[] {
  const { feature, norm } = heads[head]
  const { width } = featureOf({ shape: backbone, norm }, feature)
  return [
    ...normedRows(backbone, norm),
    ...(head === 'pooled' ? outputRows(backbone.dimensions) : []),
    { name: 'head.weight', shape: [classes, width], initial: 'head' },
    { name: 'head.bias', shape: [classes], initial: 'zeros' },
  ]
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
    const { feature, norm } = heads[head]
    const { read } = featureReader({ shape: backbone.shape, norm }, [feature])
    const encoded = backbone.encodeAll(view, weights, { ...options, norm: norm === 'norm' })
    return applyLinear(read(encoded, weights)[0]!, within(weights, 'head'))
  })
}
