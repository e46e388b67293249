/** Features by an exported encoder, without LibTorch. */
import { SherdError } from '../errors.ts'
import type { ImageSource } from '../source/open.ts'
import type { FolderFeatures, Progress, ReadingOptions } from '../weights/folder-features.ts'
import { gatherFeatures } from '../weights/frozen-encoder.ts'
import { openFor } from '../weights/open-encoder.ts'
import { inputsOf, onnxGathering } from './onnx-images.ts'
import { type OnnxModel, type OnnxOptions, openOnnxModel } from './onnx-model.ts'

export type OnnxEncoder = OnnxModel

/** Throws `CHECKPOINT` for a file that is not an encoder of `sherd export onnx`. */
export async function openOnnxEncoder(path: string, options: OnnxOptions = {}): Promise<OnnxEncoder> {
  const model = await openOnnxModel(path, options)
  if (model.graph === 'encoder') return model
  await model.session.close()
  throw new SherdError(
    'CHECKPOINT',
    `${path} holds the graph of the ${model.graph}, and features are made by that of an encoder: export it with --graphs encoder.`,
  )
}

/** Features of a folder's images; counterpart of `featuresOf`. */
export const onnxFeatures = async (
  encoder: OnnxEncoder,
  dir: string,
  onProgress?: Progress,
): Promise<FolderFeatures> => onnxFeaturesOfSource(encoder, await openFor(encoder, dir), { onProgress })

/** Of an open source. */
export async function onnxFeaturesOfSource(
  model: OnnxEncoder,
  source: ImageSource,
  options: ReadingOptions = {},
): Promise<FolderFeatures> {
  const made = await gatherFeatures(
    async (batch) => {
      const { cls, mean } = await model.session.run(inputsOf(model, batch), ['cls', 'mean'])
      return { cls: cls.values, mean: mean.values }
    },
    onnxGathering(model, source, options),
  )
  return { source, ...made }
}
