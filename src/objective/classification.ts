/** Classification: the cross-entropy of the classifier's logits with given class probabilities. */
import { type ClassifierShape, classifierRows, classify } from '../model/classifier.ts'
import { gridOfModel } from '../model/dimensions.ts'
import { type DropPathOptions, dropPath } from '../model/drop-path.ts'
import type { ParameterRow, Weights } from '../model/parameters.ts'
import { call } from '../tensor/call.ts'
import { mul, sum, toDevice, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, type Tensor, tensor } from '../tensor/tensor.ts'
import { tokenCount } from '../token/grid.ts'
import type { SampleAddresses } from '../token/mask.ts'
import { patchify } from '../token/patchify.ts'
import { sineCosinePositions } from '../token/position.ts'
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
  /** The logits [B, classes] of images [B, C, H, W], in float32: nothing is dropped. */
  logits(weights: Weights, images: Tensor): Tensor
}

export interface ClassificationOptions extends ClassifierShape {
  readonly device: Device
  readonly dropPath: Omit<DropPathOptions, 'depth'>
}

/** −Σ t log softmax(x) over the classes, mean over the batch. */
export function softCrossEntropy(logits: Tensor, targets: Tensor): Tensor {
  return scope(() => {
    const logs = call('log_softmax.int', toDtype(logits, 'float32'), -1, null)
    return mul(sum(mul(logs, targets)), -1 / logits.shape[0]!)
  })
}

export function classification({ device, dropPath: drop, ...shape }: ClassificationOptions): Classification {
  const { dimensions } = shape
  const grid = gridOfModel(dimensions)
  const table = sineCosinePositions(grid, dimensions.width)
  const inputOf = (images: Tensor) => ({
    patches: patchify(images, dimensions.patchSize),
    kept: null,
    positions: toDevice(tensor(table, [tokenCount(grid), dimensions.width]), device),
  })
  return {
    rows: classifierRows(shape),
    logits: (weights, images) => scope(() => toDtype(classify(inputOf(images), weights, shape), 'float32')),
    loss: (weights, images, { targets, samples }) =>
      scope(() => {
        const onChange = dropPath({ ...drop, depth: dimensions.depth }, samples)
        return softCrossEntropy(classify(inputOf(images), weights, shape, { onChange }), targets)
      }),
  }
}
