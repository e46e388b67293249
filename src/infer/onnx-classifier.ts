/** Exported classifiers, without LibTorch. */
import { SherdError } from '../errors.ts'
import type { ImageSource } from '../source/open.ts'
import type { Progress, ReadingOptions } from '../weights/folder-features.ts'
import { type FolderLogits, gatherLogits } from '../weights/folder-logits.ts'
import { openFor } from '../weights/open-encoder.ts'
import { inputsOf, onnxGathering } from './onnx-images.ts'
import { type OnnxModel, type OnnxOptions, openOnnxModel } from './onnx-model.ts'

export interface OnnxClassifier extends OnnxModel {
  readonly classes: readonly string[]
}

/** Throws `CHECKPOINT` for a file that is not a classifier of `sherd export onnx`. */
export async function openOnnxClassifier(path: string, options: OnnxOptions = {}): Promise<OnnxClassifier> {
  const model = await openOnnxModel(path, options)
  const { graph, classes } = model
  if (graph === 'classifier' && classes) return { ...model, classes }
  await model.session.close()
  throw new SherdError(
    'CHECKPOINT',
    graph === 'classifier'
      ? `${path} has lost the names of its classes.`
      : `${path} holds the graph of the ${graph}, and says no classes: expected a file of "sherd export onnx --graphs classifier".`,
  )
}

/** Logits of a folder's images; counterpart of `classifierLogits`. */
export async function onnxLogits(
  model: OnnxClassifier,
  dir: string,
  onProgress?: Progress,
): Promise<FolderLogits> {
  return onnxLogitsOfSource(model, await openFor(model, dir), { onProgress })
}

/** Of an open source. */
export const onnxLogitsOfSource = (
  model: OnnxClassifier,
  source: ImageSource,
  options: ReadingOptions = {},
): Promise<FolderLogits> =>
  gatherLogits({
    ...{ source, classes: model.classes, isMultiLabel: model.isMultiLabel },
    reading: onnxGathering(model, source, options),
    logitsOf: async (batch) => (await model.session.run(inputsOf(model, batch), ['logits'])).logits.values,
  })
