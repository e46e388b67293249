/** The vector that stands for an image where none is asked for. */
import type { Config } from '../config/schema.ts'
import { type FeatureModel, usualFeatures, wholeFeaturesOf } from '../model/features.ts'
import type { VectorFeature, WholeFeature } from '../token/feature.ts'

type Configured = FeatureModel & { readonly config: Pick<Config, 'model'> }

/**
 * As the authors of the model take it. The mean of the patches where weights lack it, and where the mean has a norm of its own: such an
 * encoder was trained with it, and its cls token has none.
 */
export function ownFeature(encoder: Configured): WholeFeature {
  const { feature } = encoder.config.model
  const isMean = encoder.norm === 'fc_norm' || !wholeFeaturesOf(encoder).includes(feature)
  return isMean ? 'mean' : feature
}

/** Those that compete where one is to be chosen. */
export const competingFeatures = (encoder: Configured): VectorFeature[] => [
  ...new Set([...usualFeatures(encoder), ownFeature(encoder)]),
]
