/** What can stand for an image, by name: one vector made of its tokens, or the tokens of its patches. */
import { SherdError } from '../errors.ts'

/** Vectors of the encoder's result, as a model's configuration may name them. */
export const wholeFeatures = ['cls', 'mean', 'cls+mean', 'pooled'] as const
export type WholeFeature = (typeof wholeFeatures)[number]
/** The tokens of the patches behind a block, as one vector: their mean behind the final norm. */
export type LayerFeature = `layer:${number}`
export type VectorFeature = WholeFeature | LayerFeature
export type FeatureName = VectorFeature | 'patches'

/** For messages. */
export const featureChoices = 'cls, mean, cls+mean, pooled, patches or layer:K'

const isWhole = (text: string): text is WholeFeature => (wholeFeatures as readonly string[]).includes(text)

export const isFeature = (text: string): text is FeatureName =>
  isWhole(text) || text === 'patches' || /^layer:-?\d{1,4}$/.test(text)

/** Throws `USAGE` for what is no name of a feature. */
export function parseFeature(text: string): FeatureName {
  if (isFeature(text)) return text
  throw new SherdError(
    'USAGE',
    `"${text}" is no feature: expected ${featureChoices} (K is a block, 0 the first and -1 the last).`,
  )
}

/** K of `layer:K`; null for others. */
export const layerOf = (name: FeatureName): number | null =>
  name.startsWith('layer:') ? Number(name.slice('layer:'.length)) : null

/** Throws `USAGE` for `patches`, which are not one vector. */
export function expectVector(name: FeatureName, what: string): VectorFeature {
  if (name !== 'patches') return name
  throw new SherdError(
    'USAGE',
    `${what} needs one vector for each image, and "patches" are a vector for each patch: "sherd embed" writes these. Take cls, mean, cls+mean, pooled or layer:K.`,
  )
}
