/** What differs between encoders, as words, to find the class of another program that computes the same. */
import { fittingOf } from '../config/assemble.ts'
import { backboneOf } from '../config/resolve.ts'
import { encoderBlocks, prefixOf } from '../model/dimensions.ts'
import { activationOf } from '../model/feed-forward.ts'
import { encoderNorm } from '../weights/open-encoder.ts'
import type { ExportedModel } from './exported-model.ts'

export interface Traits {
  readonly 'a cls token': boolean
  readonly registers: boolean
  readonly 'a bias of patches': boolean
  readonly 'a norm before the blocks': boolean
  readonly 'feed-forward': string
  readonly activation: string
  readonly 'biases of queries, keys and values': string
  readonly LayerScale: boolean
  readonly 'relative positions': boolean
  readonly 'rotary positions': boolean
  readonly 'added positions': boolean
  readonly 'attention pooling': boolean
  readonly 'a projection': boolean
  readonly 'images that keep their shape': boolean
  /** `norm` of tokens, or `fc_norm` of their mean. */
  readonly norm: string
}

const plain: Traits = {
  'a cls token': true,
  registers: false,
  'a bias of patches': true,
  'a norm before the blocks': false,
  'feed-forward': 'mlp',
  activation: 'gelu',
  'biases of queries, keys and values': 'all',
  LayerScale: false,
  'relative positions': false,
  'rotary positions': false,
  'added positions': true,
  'attention pooling': false,
  'a projection': false,
  'images that keep their shape': false,
  norm: 'norm',
}

/** By what is in the weights: a classifier has lost the encoder's own output. */
export function traitsOf({ config, dimensions, arrays }: ExportedModel): Traits {
  const prefix = prefixOf(dimensions)
  const { patchBias = true, preNorm = false, feedForward = 'mlp', qkvBias = 'all' } = dimensions.variant ?? {}
  const { layerScale, relativePositions, rotaryPositions } = dimensions.variant ?? {}
  return {
    'a cls token': prefix.some(({ kind }) => kind === 'cls'),
    registers: prefix.some(({ kind }) => kind === 'register'),
    'a bias of patches': patchBias,
    'a norm before the blocks': preNorm,
    'feed-forward': feedForward,
    activation: activationOf(encoderBlocks(dimensions)),
    'biases of queries, keys and values': qkvBias,
    LayerScale: Boolean(layerScale),
    'relative positions': Boolean(relativePositions),
    'rotary positions': Boolean(rotaryPositions),
    'added positions': backboneOf(config).positions !== 'none',
    'attention pooling': arrays.has('attn_pool.latent'),
    'a projection': arrays.has('projection.weight'),
    'images that keep their shape': Boolean(fittingOf(config)?.budget),
    norm: encoderNorm((name) => arrays.has(name)),
  }
}

/** What a class takes where a plain ViT has one value. */
export type Takes = { readonly [T in keyof Traits]?: readonly Traits[T][] }

const inWords = (name: string, value: string | boolean) =>
  typeof value === 'string' ? `${name} "${value}"` : value ? name : `no ${name.replace(/^a /, '')}`

/** What of an encoder a class does not take. */
export const misfits = (traits: Traits, takes: Takes): string[] =>
  (Object.keys(traits) as (keyof Traits)[])
    .filter((name) => !((takes[name] ?? [plain[name]]) as readonly unknown[]).includes(traits[name]))
    .map((name) => inWords(name, traits[name]))

export const isPlain = (traits: Traits): boolean => misfits(traits, {}).length === 0
