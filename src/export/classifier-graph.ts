/** A classifier as a graph from pixels to logits and probabilities, recorded from the code that computes them everywhere else. */
import { type FrozenClassifier, headLogits } from '../evaluate/classifier.ts'
import { encodeImages } from '../evaluate/features.ts'
import { openBackbone } from '../model/backbone.ts'
import { softmax } from '../tensor/ops.ts'
import { record, type Tape } from '../tensor/record.ts'
import { scope } from '../tensor/scope.ts'
import { generalTape } from './general-tape.ts'
import type { Graph } from './graph.ts'
import { blankPixels, checkExportable, type ExportedEncoder, imagesOf, inputName } from './pixels-input.ts'
import { translate } from './translate.ts'

export type ExportedClassifier = ExportedEncoder & FrozenClassifier

/** The graph, for batches of every size. Throws `VALUE` for what cannot be exported. */
export function classifierGraph(classifier: ExportedClassifier): Graph {
  checkExportable(classifier)
  const tape = generalTape({ batch: [2, 3, 5] }, ({ batch }) => recordClassifier(classifier, batch!))
  return translate('classifier', tape)
}

function recordClassifier(classifier: ExportedClassifier, batch: number): Tape {
  const { shape, parameters } = classifier
  const backbone = openBackbone(shape, 'cpu')
  return scope(() => {
    const pixels = blankPixels(classifier, batch)
    return record({ inputs: { [inputName]: pixels }, named: parameters }, () => {
      const encoded = encodeImages(classifier, backbone, imagesOf(classifier, pixels))
      const logits = headLogits(classifier, encoded)
      return { logits, probabilities: softmax(logits, -1) }
    })
  })
}
