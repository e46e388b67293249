/** A model that embeds images: an exported `.onnx` file without LibTorch, a run or a file of weights with it. */
import { parse, relative, resolve } from 'node:path'
import { type ImagePreparation, preparationOf } from '../config/preparation.ts'
import type { Reads } from '../config/reading.ts'
import { bandsOf } from '../config/resolve.ts'
import { SherdError } from '../errors.ts'
import { sealOf } from '../files/durable.ts'
import { localModel } from '../hub/locate.ts'
import { type FeatureSpec, featureOf } from '../model/features.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import type { ImageSource } from '../source/open.ts'
import type { FeatureName, VectorFeature } from '../token/feature.ts'
import type { FeatureReading, FolderFeatures } from '../weights/folder-features.ts'
import { valuesOf } from '../weights/frozen-encoder.ts'
import type { ImageSize } from '../weights/image-size.ts'
import type { EncoderRequest, ModelOrigin } from '../weights/open-encoder.ts'
import { competingFeatures, ownFeature } from '../weights/own-feature.ts'

export interface Embedder extends Reads {
  /** The bands of its rasters; null for images. */
  readonly bands: readonly string[] | null
  readonly origin: ModelOrigin
  /** Of the model's file; '' for a random one. */
  readonly sha256: string
  /** A checksum of the model and of how it prepares images. */
  readonly seal: string
  readonly preparation: ImagePreparation
  readonly warnings: readonly string[]
  /** Of the images, where another one than the model's own was asked for. */
  readonly imageSize?: ImageSize
  /** How a model of another program was read. */
  readonly notes?: readonly string[] | undefined
  /** Whose convention the vector is, such as "DINOv2's authors"; null for a model of sherd. */
  readonly convention?: string | null
  /** A run that began with the weights of another model. */
  readonly isInherited?: boolean
  /** The vector that stands for an image where none is asked for. */
  readonly feature: VectorFeature
  /** Those that are made where all are asked for. */
  readonly competing: readonly FeatureName[]
  /** Throws `USAGE` for a feature that the model lacks. */
  featureOf<Name extends FeatureName>(name: Name): FeatureSpec<Name>
  features(source: ImageSource, options: FeatureReading): Promise<FolderFeatures>
}

/** Throws as `openOnnxEncoder` and `openEncoder`, and `USAGE` for a random encoder without a configuration, or for a device or precision with an exported one. */
export async function openEmbedder(
  model: string,
  { device, precision, reading = {}, ...request }: Omit<EncoderRequest, 'model'> = {},
): Promise<Embedder> {
  if (model.toLowerCase().endsWith('.onnx')) {
    const { expectPlainRequest } = await import('../infer/onnx-model.ts')
    expectPlainRequest({ device, precision })
    const { ownOutput, usualOutputs } = await import('../infer/onnx-features.ts')
    const { onnxFeatureSpec, onnxFeaturesOfSource, openOnnxEncoder } = await import(
      '../infer/onnx-encoder.ts'
    )
    const { imageSize } = request
    const { path } = await localModel(model)
    const encoder = await openOnnxEncoder(path, { reading, imageSize })
    const { config, bands, origin } = encoder
    const { sha256 } = sealOf(path)
    return {
      ...{ feature: ownOutput(encoder), competing: usualOutputs(encoder) },
      featureOf: (name) => onnxFeatureSpec(encoder, name),
      ...{ config, reading, bands, origin, sha256, seal: sha256, warnings: [] },
      preparation: preparationOf(encoder),
      ...(imageSize && { imageSize }),
      features: (source, options) => onnxFeaturesOfSource(encoder, source, options),
    }
  }
  const { findWeights, openEncoder } = await import('../weights/open-encoder.ts')
  const { sealOfModel, sealOfWeights } = await import('../weights/found-weights.ts')
  const { conventionOf } = await import('../weights/how-taken.ts')
  const { featuresOfSource } = await import('../weights/folder-features.ts')
  if (model === 'random' && !request.config)
    throw new SherdError('USAGE', 'An index needs a model that can be opened again: give a run or a file.')
  const found = await findWeights({ ...request, model })
  const encoder = await openEncoder({ ...request, model, device, precision, reading })
  const { config, origin, warnings, notes } = encoder
  return {
    ...{ config, reading, origin, warnings, notes, bands: encoder.bands ?? bandsOf(config) },
    ...(found.imageSize && { imageSize: found.imageSize }),
    ...{ sha256: sealOfWeights(found), seal: sealOfModel(found), preparation: preparationOf(encoder) },
    isInherited: found.facts?.init !== undefined,
    convention: conventionOf(encoder),
    ...{ feature: ownFeature(encoder), competing: competingFeatures(encoder) },
    featureOf: (name) => featureOf(encoder, name),
    features: (source, options) => featuresOfSource(encoder, source, options),
  }
}

/** The vectors [files, D] of image files. Throws `DECODE` for the first that is not an image, `USAGE` for a model of rasters. */
export async function embedFiles(
  embedder: Embedder,
  paths: readonly string[],
  feature: VectorFeature,
): Promise<{ readonly width: number; readonly values: Float32Array }> {
  if (embedder.config.data.kind === 'rasters')
    throw new SherdError(
      'USAGE',
      `${embedder.origin.path} takes rasters, which are found by their folder: give the name of a sample that is in the index.`,
    )
  const full = paths.map((path) => resolve(path))
  const { root } = parse(full[0]!)
  const source: ImageSource = {
    ...{ kind: 'images', dir: root, files: full.map((path) => relative(root, path)) },
    ...{ classes: [], labels: null },
  }
  const skipped: SkippedFile[] = []
  const made = await embedder
    .features(source, { features: [feature], maxSkippedShare: 1, onSkip: (file) => skipped.push(file) })
    .catch((error: unknown) => {
      if (skipped.length === 0) throw error
      return null
    })
  const [bad] = skipped
  if (bad || !made)
    throw new SherdError(
      'DECODE',
      `Cannot search for ${root}${bad?.file}: ${bad?.reason ?? 'it cannot be read'}`,
    )
  const { width, values } = valuesOf(made.features, embedder.featureOf(feature).name)
  return { width, values }
}
