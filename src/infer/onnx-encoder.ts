/** Features by an exported encoder, without LibTorch. */
import { backboneOf } from '../config/resolve.ts'
import { SherdError } from '../errors.ts'
import { type FeatureSpec, featureOf } from '../model/features.ts'
import type { ImageSource } from '../source/open.ts'
import type { FeatureName } from '../token/feature.ts'
import { expectOneLength, type FeatureReading, type FolderFeatures } from '../weights/folder-features.ts'
import { gatherFeatures } from '../weights/frozen-encoder.ts'
import { openFor } from '../weights/open-encoder.ts'
import { featureOutputs, joinedOutputs, usualOutputs } from './onnx-features.ts'
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
  options: FeatureReading = {},
): Promise<FolderFeatures> => onnxFeaturesOfSource(encoder, await openFor(encoder, dir), options)

/** A feature of a graph. Throws `USAGE` for one that it has not. */
export function onnxFeatureSpec<Name extends FeatureName>(model: OnnxEncoder, name: Name): FeatureSpec<Name> {
  featureOutputs(model, name)
  return featureOf({ shape: backboneOf(model.config), norm: 'fc_norm' }, name) // its outputs say what it has
}

/** Of an open source. Throws `USAGE` for a feature that the graph has not. */
export async function onnxFeaturesOfSource(
  model: OnnxEncoder,
  source: ImageSource,
  { features = usualOutputs(model), ...options }: FeatureReading = {},
): Promise<FolderFeatures> {
  const specs = [...new Set(features)].map((name) => onnxFeatureSpec(model, name))
  expectOneLength(model.config, specs)
  const wanted = specs.map(({ name }) => featureOutputs(model, name))
  const outputs = [...new Set(wanted.flat())]
  const made = await gatherFeatures(specs, {
    ...onnxGathering(model, source, options),
    compute: async (samples) => {
      const found = await model.session.run(inputsOf(model, samples), outputs)
      return wanted.map((names) =>
        joinedOutputs(
          names.map((name) => found[name]!.values),
          samples.shape[0],
        ),
      )
    },
  })
  return { source, ...made }
}
