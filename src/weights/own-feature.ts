/** The vector that stands for an image where none is asked for. */
import type { Config } from '../config/schema.ts'
import { usualFeatures } from '../model/features.ts'
import type { VectorFeature, WholeFeature } from '../token/feature.ts'
import type { FrozenEncoder } from './frozen-encoder.ts'

/** As the authors of the model take it. */
export const ownFeature = ({ model }: Pick<Config, 'model'>): WholeFeature =>
  (model as { readonly feature?: WholeFeature }).feature ?? 'mean'

/** Those that compete where one is to be chosen. */
export const competingFeatures = (
  encoder: FrozenEncoder & { readonly config: Pick<Config, 'model'> },
): VectorFeature[] => [...new Set([...usualFeatures(encoder), ownFeature(encoder.config)])]
