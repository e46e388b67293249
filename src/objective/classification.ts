/** Classification: the cross-entropy of the classifier's logits with given class probabilities. */
import { type Adaptation, adaptBackbone, adaptRows } from '../model/adapt.ts'
import { openBackbone } from '../model/backbone.ts'
import { type ClassifierShape, classifierRows, classify } from '../model/classifier.ts'
import { dropPath } from '../model/drop-path.ts'
import type { Weights } from '../model/parameters.ts'
import { call } from '../tensor/call.ts'
import { mul, sum, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'
import { onePart } from './losses.ts'
import type { Address, Average, BatchObjective, ImageBatch, Losses, MetricRow } from './objective.ts'

export interface Labelled extends ImageBatch {
  /** Class probabilities [B, classes]. */
  readonly targets: Tensor
}

export interface ClassificationOptions extends ClassifierShape {
  readonly device: Device
  /** Rate of the last block; drawn at the samples' addresses. */
  readonly dropPath: number
  /** The groups of bands that are seen; all by default. */
  readonly only?: readonly number[] | null
  /** How the encoder learns; default: all of it. */
  readonly adapt?: Adaptation
  /** Parameters that stay as they are, by name; none by default. */
  readonly fixed?: (name: string) => boolean
  readonly averages?: readonly Average[]
}

/** −Σ t log softmax(x) over the classes, mean over the batch. */
export function softCrossEntropy(logits: Tensor, targets: Tensor): Tensor {
  return scope(() => {
    const logs = call('log_softmax.int', toDtype(logits, 'float32'), -1, null)
    return mul(sum(mul(logs, targets)), -1 / logits.shape[0]!)
  })
}

export interface Classification extends BatchObjective<Labelled, null> {
  loss(weights: Weights, batch: Labelled, plan: null, at: Address): Losses
}

/** The cross-entropy as a metric: that of naming every class alike, where `classes` of them exclude each other. */
const crossEntropyRows = (classes: number): readonly MetricRow[] => [
  {
    ...{ name: 'cross-entropy', kind: 'loss', unit: '' },
    ...{ chance: Math.log(classes), chanceOf: 'naming every class alike' },
  },
]

export function classification({
  device,
  dropPath: rate,
  only = null,
  adapt = { kind: 'none' },
  fixed = () => false,
  averages = [],
  ...shape
}: ClassificationOptions): Classification {
  const plain = openBackbone(shape.backbone, device)
  const model = { backbone: adaptBackbone(plain, adapt), head: shape.head }
  const rows = adaptRows(classifierRows(shape), plain.rows, adapt)
  const { depth } = shape.backbone.dimensions
  return {
    rows: rows.map((row) => (fixed(row.name) ? { ...row, role: 'fixed' } : row)),
    averages,
    metrics: crossEntropyRows(shape.classes),
    encoder: { prefix: '' },
    plan: () => null,
    loss: (weights, { image, targets }, _, { seed, samples }) =>
      scope(() => {
        const onChange = dropPath({ rate, depth, seed }, samples)
        const logits = classify(image, weights, model, { onChange, only })
        return onePart('cross-entropy', softCrossEntropy(logits, targets))
      }),
  }
}
