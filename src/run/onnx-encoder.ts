/** The features of an exported encoder. Nothing here needs LibTorch. */
import { backboneOf } from '../config/resolve.ts'
import { SherdError } from '../errors.ts'
import { gatherFeatures } from '../evaluate/features.ts'
import { samplesOf } from '../infer/pixels.ts'
import { coreCount } from '../machine/hardware.ts'
import { imagesInOrder } from '../prepare/in-order.ts'
import type { Pixels } from '../prepare/normalize.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import type { ImageSource } from '../source/open.ts'
import { inferenceOptions } from './assemble.ts'
import { openFor } from './encoder.ts'
import { type FolderFeatures, inferenceBatch, type Progress, type ReadingOptions } from './features.ts'
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

/** Positions of a scaled model are in the graph, for one resolution. */
function checkResolution({ rasters }: Pixels, expected: number | null, dir: string): void {
  if (!rasters || expected === null) return
  for (let at = 0; at < rasters.facts.length; at += 1 + rasters.frames) {
    const metres = rasters.facts[at]!
    if (!Number.isNaN(metres) && Math.abs(metres / expected - 1) > 0.01)
      throw new SherdError(
        'VALUE',
        `The file was exported for ${expected} metres a pixel, and ${dir} has samples of ${metres.toFixed(2)}: use the model itself, which takes any.`,
      )
  }
}

/** The features of a folder's images, as `featuresOf` makes them with LibTorch. */
export const onnxFeatures = async (
  encoder: OnnxEncoder,
  dir: string,
  onProgress?: Progress,
): Promise<FolderFeatures> => onnxFeaturesOfSource(encoder, await openFor(encoder, dir), { onProgress })

/** The same of a source that is open. */
export async function onnxFeaturesOfSource(
  { session, config, resolution }: OnnxEncoder,
  source: ImageSource,
  { onProgress, onSkip, ...limits }: ReadingOptions = {},
): Promise<FolderFeatures> {
  const decodeThreads = config.data.workers || Math.max(1, Math.floor(coreCount() / 4))
  const options = {
    ...{ ...inferenceOptions(config, source, { decodeThreads }), ...limits },
    batchSize: inferenceBatch(backboneOf(config)),
  }
  const skipped: SkippedFile[] = []
  const images = imagesInOrder(options, (file) => {
    skipped.push(file)
    onSkip?.(file)
  })
  const of = source.files.length
  const features = await gatherFeatures(
    images,
    async (batch) => {
      checkResolution(batch, resolution, source.dir)
      const { cls, mean } = await session.run(samplesOf(batch), ['cls', 'mean'])
      return { cls: cls.values, mean: mean.values }
    },
    (done) => onProgress?.({ dir: source.dir, done, of }),
  )
  return { source, features, skipped }
}
