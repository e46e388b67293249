/** The vectors of an image that an encoder's graph gives: those that the encoder has. */
import type { Encoded } from '../model/encoder.ts'
import { type FeatureModel, featureOf, featureReader, usualFeatures } from '../model/features.ts'
import { weightsOf } from '../model/parameters.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { FrozenEncoder } from '../weights/frozen-encoder.ts'

/** Widths by name: cls where there is one, mean, and what the encoder itself gives of an image (`pooled`) where it does. */
export const vectorWidths = (encoder: FeatureModel): Readonly<Record<string, number>> =>
  Object.fromEntries(usualFeatures(encoder).map((name) => [name, featureOf(encoder, name).width]))

/** [B, width] by name. Called inside a scope. */
export function vectorsOf(encoder: FrozenEncoder, encoded: Encoded): Record<string, Tensor> {
  const names = usualFeatures(encoder)
  const made = featureReader(encoder, names).read(encoded, weightsOf(encoder.parameters))
  return Object.fromEntries(names.map((name, i) => [name, made[i]!]))
}
