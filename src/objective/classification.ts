/** Classification: the cross-entropy of the classifier's logits with given class probabilities. */

import { openBackbone } from '../model/backbone.ts'
import { type ClassifierShape, classifierRows, classify } from '../model/classifier.ts'
import { type DropPathOptions, dropPath } from '../model/drop-path.ts'
import type { ParameterRow } from '../model/parameters.ts'
import { call } from '../tensor/call.ts'
import { mul, sum, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'
import type { SampleAddresses } from '../token/mask.ts'
import type { Learner } from './objective.ts'

/** What is asked of a batch. */
export interface ClassificationPlan {
  /** Class probabilities [B, classes]. */
  readonly targets: Tensor
  /** For the draws of drop path. */
  readonly samples: SampleAddresses
}

export interface Classification extends Learner<ClassificationPlan> {
  readonly rows: readonly ParameterRow[]
}

export interface ClassificationOptions extends ClassifierShape {
  readonly device: Device
  readonly dropPath: Omit<DropPathOptions, 'depth'>
  /** The groups of bands that are seen; all by default. */
  readonly only?: readonly number[] | null
}

/** −Σ t log softmax(x) over the classes, mean over the batch. */
export function softCrossEntropy(logits: Tensor, targets: Tensor): Tensor {
  return scope(() => {
    const logs = call('log_softmax.int', toDtype(logits, 'float32'), -1, null)
    return mul(sum(mul(logs, targets)), -1 / logits.shape[0]!)
  })
}

export function classification({
  device,
  dropPath: drop,
  only = null,
  ...shape
}: ClassificationOptions): Classification {
  const model = { backbone: openBackbone(shape.backbone, device), head: shape.head }
  const { depth } = shape.backbone.dimensions
  return {
    rows: classifierRows(shape),
    loss: (weights, images, { targets, samples }) =>
      scope(() => {
        const onChange = dropPath({ ...drop, depth }, samples)
        return softCrossEntropy(classify(images, weights, model, { onChange, only }), targets)
      }),
  }
}
