/** Exported segmenters, without LibTorch. */

import type { SegmenterFacts } from '../checkpoint/weights-metadata.ts'
import { SherdError } from '../errors.ts'
import type { FolderSegmentation } from '../weights/folder-segmentation.ts'
import { inputsOf, openOnnxWindows } from './onnx-images.ts'
import { type OnnxModel, type OnnxOptions, openOnnxModel } from './onnx-model.ts'

export interface OnnxSegmenter extends OnnxModel {
  readonly segmenter: SegmenterFacts
}

/** Throws `CHECKPOINT` for a file that is not a segmenter of `sherd export onnx`. */
export async function openOnnxSegmenter(path: string, options: OnnxOptions = {}): Promise<OnnxSegmenter> {
  const model = await openOnnxModel(path, options)
  const { graph, segmenter } = model
  if (graph === 'segmenter' && segmenter) return { ...model, segmenter }
  await model.session.close()
  throw new SherdError(
    'CHECKPOINT',
    graph === 'segmenter'
      ? `${path} has lost what its classes are in masks.`
      : `${path} holds the graph of the ${graph}, and says nothing of pixels: expected a file of "sherd export onnx --graphs segmenter".`,
  )
}

/** For `writeMasks`. Throws `SOURCE`. */
export async function onnxSegmentation(model: OnnxSegmenter, dir: string): Promise<FolderSegmentation> {
  return {
    ...(await openOnnxWindows(model, dir)),
    ...{ facts: model.segmenter, bands: model.bands, model: model.origin },
    logitsOf: async (batch) => (await model.session.run(inputsOf(model, batch), ['logits'])).logits.values,
  }
}
