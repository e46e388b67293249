/** A classifier for inference: a frozen encoder with a head. */
import { applyLinear } from '../model/block.ts'
import { type Head, heads } from '../model/classifier.ts'
import type { Encoded } from '../model/encoder.ts'
import { featureReader } from '../model/features.ts'
import { weightsOf, within } from '../model/parameters.ts'
import type { Pixels } from '../prepare/pixels.ts'
import { noGrad } from '../tensor/context.ts'
import { sigmoid, softmax } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type FrozenEncoder, tokensOf } from './frozen-encoder.ts'

/** Its parameters include `head.*`; its norm is that of the head's row. */
export interface FrozenClassifier extends FrozenEncoder {
  readonly head: Head
  /** In the order of the logits. */
  readonly classes: readonly string[]
  /** Classes are independent (sigmoid). */
  readonly isMultiLabel?: boolean | undefined
}

/** Softmax, or sigmoid for multi-label. */
export const probabilitiesOf = (
  { isMultiLabel = false }: Pick<FrozenClassifier, 'isMultiLabel'>,
  logits: Tensor,
): Tensor => (isMultiLabel ? sigmoid(logits) : softmax(logits, -1))

/** Logits [B, classes] from the encoder's tokens. */
export function headLogits(classifier: FrozenClassifier, encoded: Encoded): Tensor {
  const weights = weightsOf(classifier.parameters)
  const { read } = featureReader(classifier, [heads[classifier.head].feature])
  return scope(() => applyLinear(read(encoded, weights)[0]!, within(weights, 'head')))
}

/**
 * pixels → logits [B, classes]. The head is computed in float32 whatever the encoder's precision: it is small, and a probe's divides by
 * deviations.
 */
export function logitsOf(classifier: FrozenClassifier): (pixels: Pixels) => Tensor {
  const tokens = tokensOf(classifier)
  return (pixels) => noGrad(() => scope(() => headLogits(classifier, tokens(pixels))))
}
