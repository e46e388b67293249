/**
 * An encoder with a head as a graph: a classifier from pixels to logits and probabilities, a segmenter to the logits of every pixel, traced
 * from the code of evaluation. Both throw `VALUE` for models that cannot be exported.
 */

import { openBackbone } from '../model/backbone.ts'
import type { Encoded } from '../model/encoder.ts'
import type { Graph } from '../onnx/graph.ts'
import { zeros } from '../tensor/ops.ts'
import { record, type Tape } from '../tensor/record.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type FrozenClassifier, headLogits, probabilitiesOf } from '../weights/frozen-classifier.ts'
import { encodeImages } from '../weights/frozen-encoder.ts'
import { decodeHeadLogits, type FrozenSegmenter } from '../weights/frozen-segmenter.ts'
import { type DynamicGrid, type PositionTables, positionsFrom, tensorsOf } from './dynamic-grid.ts'
import { gridGraph } from './grid-graph.ts'
import {
  blankPixels,
  checkRecordable,
  type ExportedEncoder,
  inputName,
  viewOfPixels,
} from './pixels-input.ts'
import { checkPositions, needsPositions, positionsName, positionsShape } from './positions-input.ts'

export type ExportedClassifier = ExportedEncoder & FrozenClassifier
export type ExportedSegmenter = ExportedEncoder & FrozenSegmenter

/** `dynamicGrid`: of images of any size, as that of an encoder. */
export const classifierGraph = (classifier: ExportedClassifier, dynamicGrid?: DynamicGrid | null): Graph =>
  headGraph(
    'classifier',
    classifier,
    (encoded) => {
      const logits = headLogits(classifier, encoded)
      return { logits, probabilities: probabilitiesOf(classifier, logits) }
    },
    dynamicGrid,
  )

export const segmenterGraph = (segmenter: ExportedSegmenter): Graph =>
  headGraph('segmenter', segmenter, (encoded) => ({ logits: decodeHeadLogits(segmenter, encoded) }))

type Head = (encoded: Encoded) => Readonly<Record<string, Tensor>>

function headGraph(
  name: string,
  encoder: ExportedEncoder,
  head: Head,
  dynamicGrid: DynamicGrid | null = null,
): Graph {
  checkRecordable(encoder)
  checkPositions(encoder)
  return gridGraph(name, encoder, {
    dynamicGrid,
    record: (at, tables, batch) => recordHead(at, { head, tables }, batch),
  })
}

interface Recorded {
  readonly head: Head
  readonly tables: PositionTables
}

function recordHead(encoder: ExportedEncoder, { head, tables }: Recorded, batch: number): Tape {
  const { shape, parameters } = encoder
  const backbone = openBackbone(shape, 'cpu')
  return scope(() => {
    const pixels = blankPixels(encoder, batch)
    const positionInputs = needsPositions(shape)
      ? { [positionsName]: zeros([batch, ...positionsShape(shape)]) }
      : {}
    const given = tensorsOf(tables)
    const inputs = { [inputName]: pixels, ...positionInputs, ...given }
    return record({ inputs, named: parameters }, () => {
      const { positions = positionInputs[positionsName], attention } = positionsFrom(encoder, given)
      const options = { positions, attention }
      return head(encodeImages(encoder, backbone, viewOfPixels(encoder, pixels), options))
    })
  })
}
