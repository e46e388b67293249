/** The features of an encoder: which it has, how many numbers they are, and what is computed for them. */
import { SherdError } from '../errors.ts'
import { layerNorm } from '../tensor/fused.ts'
import { cat } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type FeatureName, layerOf, type WholeFeature, wholeFeatures } from '../token/feature.ts'
import { layoutTokens, placeCount } from '../token/layout.ts'
import { pool } from '../token/pool.ts'
import { patchesOf } from '../token/prefix.ts'
import type { EncodeAllOptions } from './backbone.ts'
import { type BackboneShape, layoutOf } from './backbone-shape.ts'
import { type EncoderDimensions, prefixOf } from './dimensions.ts'
import { type Encoded, finalNorm } from './encoder.ts'
import { outputRows, outputWidth, ownOutput } from './own-output.ts'
import type { Weights } from './parameters.ts'

/**
 * The norm after an encoder's blocks, by the name of its parameters: `norm` of every token, or `fc_norm` of the mean of the patch tokens,
 * which are then not normed themselves (as in timm's forward_features).
 */
export type EncoderNorm = 'norm' | 'fc_norm'

/** What says which features there are. */
export interface FeatureModel {
  readonly shape: BackboneShape
  /** Default `norm`. */
  readonly norm?: EncoderNorm
  /** The groups of bands that are encoded; null for all. */
  readonly only?: readonly number[] | null
  /** Default: all that its shape asks for. */
  readonly parameters?: { readonly has: (name: string) => boolean }
}

/** Features of images, as numbers behind one another: `tokens` × `width` for each image. */
export interface FeatureSpec<Name extends FeatureName = FeatureName> {
  readonly name: Name
  readonly width: number
  /** 1 for a vector. */
  readonly tokens: number
}

interface Computing {
  readonly weights: Weights
  readonly dimensions: EncoderDimensions
  readonly norm: EncoderNorm
}

interface FeatureRow {
  /** Why a model lacks it; null if it has it. */
  readonly lacks: (model: FeatureModel) => string | null
  readonly width: (d: EncoderDimensions) => number
  readonly of: (encoded: Encoded, how: Computing) => Tensor
}

const lacksCls: FeatureRow['lacks'] = ({ shape }) =>
  prefixOf(shape.dimensions).some(({ kind }) => kind === 'cls') ? null : 'it has no cls token'

function lacksOutput({ shape, norm, parameters }: FeatureModel): string | null {
  if (norm === 'fc_norm') return null
  const rows = outputRows(shape.dimensions)
  if (rows.length === 0) return 'it has no output of its own (attention pooling, a projection or fc_norm)'
  const missing = parameters && rows.find(({ name }) => !parameters.has(name))
  return missing ? `its weights have no ${missing.name}` : null
}

/** Of tokens that are not normed yet where the norm is `fc_norm`, which is then applied. */
function meanOf(tokens: Encoded, { weights, dimensions, norm }: Computing): Tensor {
  if (norm === 'norm') return pool.mean(tokens)
  const own = { weight: weights('fc_norm.weight'), bias: weights('fc_norm.bias') }
  return scope(() => layerNorm(pool.mean(tokens), own, dimensions.layerNormEpsilon))
}

const rows: Readonly<Record<WholeFeature | 'patches', FeatureRow>> = {
  cls: { lacks: lacksCls, width: ({ width }) => width, of: (encoded) => pool.cls(encoded) },
  mean: { lacks: () => null, width: ({ width }) => width, of: meanOf },
  'cls+mean': {
    lacks: lacksCls,
    width: ({ width }) => 2 * width,
    of: (encoded, how) => scope(() => cat([pool.cls(encoded), meanOf(encoded, how)], 1)),
  },
  pooled: {
    lacks: lacksOutput,
    width: (d) => outputWidth(d) ?? d.width,
    of: (encoded, how) =>
      how.norm === 'fc_norm' ? meanOf(encoded, how) : ownOutput(encoded, how.weights, how.dimensions),
  },
  patches: { lacks: () => null, width: ({ width }) => width, of: (encoded) => patchesOf(encoded) },
}

/** The features that a model has, without those of its blocks. */
export const wholeFeaturesOf = (model: FeatureModel): WholeFeature[] =>
  wholeFeatures.filter((name) => rows[name].lacks(model) === null)

/** Whether the query of attention pooling attends to the patches, and no cls token does. */
export const hasPooling = (model: FeatureModel): boolean =>
  (model.shape.dimensions.variant?.attentionPool ?? false) &&
  lacksCls(model) !== null &&
  rows.pooled.lacks(model) === null

/** Those that compete where none is asked for: cls, mean and, where it is another one, the model's own output. */
export const usualFeatures = (model: FeatureModel): WholeFeature[] =>
  wholeFeaturesOf(model).filter(
    (name) => name !== 'cls+mean' && !(name === 'pooled' && model.norm === 'fc_norm'),
  )

const tokensOfPatches = ({ shape, only = null }: FeatureModel): number => {
  const layout = layoutOf(shape)
  return only ? only.length * placeCount(layout) : layoutTokens(layout)
}

const absolute = (layer: number, depth: number) => (layer < 0 ? depth + layer : layer)

/** A feature of a model, a layer counted from the first. Throws `USAGE` for one that it lacks. */
export function featureOf<Name extends FeatureName>(model: FeatureModel, name: Name): FeatureSpec<Name> {
  const { width, depth } = model.shape.dimensions
  const layer = layerOf(name)
  if (layer !== null) {
    const block = absolute(layer, depth)
    if (block >= 0 && block < depth) return { name: `layer:${block}` as Name, width, tokens: 1 }
  }
  const why = layer === null ? rows[name as WholeFeature | 'patches'].lacks(model) : `it has ${depth} blocks`
  if (why !== null)
    throw new SherdError(
      'USAGE',
      `This encoder has no feature ${name}: ${why}. It has ${[...wholeFeaturesOf(model), 'patches', `layer:0 … layer:${depth - 1}`].join(', ')}.`,
    )
  const { [name as WholeFeature | 'patches']: row } = rows
  const tokens = name === 'patches' ? tokensOfPatches(model) : 1
  return { name, width: row.width(model.shape.dimensions), tokens }
}

export interface FeatureReader {
  /** To be given to the encoder. */
  readonly options: Pick<EncodeAllOptions, 'taps' | 'until' | 'norm'>
  /** Float32 tokens → [B, width], or [B, tokens, width], in the order of the names. */
  readonly read: (encoded: Encoded, weights: Weights) => Tensor[]
}

/** How features are computed in one pass; blocks behind the last one that is read are not. Throws as `featureOf`. */
export function featureReader(model: FeatureModel, names: readonly FeatureName[]): FeatureReader {
  const { norm = 'norm', shape } = model
  const { dimensions } = shape
  const wanted = names.map((name) => featureOf(model, name).name)
  const layers = [...new Set(wanted.flatMap((name) => layerOf(name) ?? []))]
  const isPartial = layers.length > 0 && wanted.every((name) => layerOf(name) !== null)
  return {
    options: {
      taps: layers.map((block) => ({ block, of: 'output' })),
      ...(isPartial && { until: Math.max(...layers), norm: false }),
    },
    read(encoded, weights) {
      const how = { weights, dimensions, norm }
      return wanted.map((name) => {
        const layer = layerOf(name)
        if (layer === null) return rows[name as WholeFeature | 'patches'].of(encoded, how)
        const sequence = encoded.taps[layers.indexOf(layer)]!
        return scope(() =>
          meanOf(
            { ...encoded, sequence: norm === 'norm' ? finalNorm(sequence, weights, dimensions) : sequence },
            how,
          ),
        )
      })
    },
  }
}
