/** A segmenter as a graph from pixels to the logits of every pixel, recorded from the code that computes them everywhere else. */
import { encodeImages } from '../evaluate/features.ts'
import { decodeHeadLogits, type FrozenSegmenter } from '../evaluate/segmenter.ts'
import { openBackbone } from '../model/backbone.ts'
import { record, type Tape } from '../tensor/record.ts'
import { scope } from '../tensor/scope.ts'
import { generalTape } from './general-tape.ts'
import type { Graph } from './graph.ts'
import { blankPixels, checkExportable, type ExportedEncoder, imagesOf, inputName } from './pixels-input.ts'
import { translate } from './translate.ts'

export type ExportedSegmenter = ExportedEncoder & FrozenSegmenter

/** The graph, for batches of every size. Throws `VALUE` for what cannot be exported. */
export function segmenterGraph(segmenter: ExportedSegmenter): Graph {
  checkExportable(segmenter)
  const tape = generalTape({ batch: [2, 3, 5] }, ({ batch }) => recordSegmenter(segmenter, batch!))
  return translate('segmenter', tape)
}

function recordSegmenter(segmenter: ExportedSegmenter, batch: number): Tape {
  const { shape, parameters } = segmenter
  const backbone = openBackbone(shape, 'cpu')
  return scope(() => {
    const pixels = blankPixels(segmenter, batch)
    return record({ inputs: { [inputName]: pixels }, named: parameters }, () => ({
      logits: decodeHeadLogits(segmenter, encodeImages(segmenter, backbone, imagesOf(segmenter, pixels))),
    }))
  })
}
