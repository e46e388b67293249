/** An exported encoder to use: its file says how samples are read, and ONNX Runtime computes. Nothing here needs LibTorch. */
import { resolve } from 'node:path'
import { z } from 'zod'
import { backboneOf } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { messageOf, SherdError } from '../errors.ts'
import { gatherFeatures } from '../evaluate/features.ts'
import { FORMAT, FORMAT_KEY, INPUT_KEY } from '../export/metadata.ts'
import { readMetadata } from '../export/onnx-file.ts'
import { samplesOf } from '../infer/pixels.ts'
import { openSession, type Session } from '../infer/session.ts'
import { coreCount } from '../machine/hardware.ts'
import { imagesInOrder } from '../prepare/in-order.ts'
import type { Pixels } from '../prepare/normalize.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import type { ImageSource } from '../source/open.ts'
import { inferenceOptions } from './assemble.ts'
import { openFor } from './encoder.ts'
import { type FolderFeatures, inferenceBatch, type Progress, type ReadingOptions } from './features.ts'
import { readWeightsMetadata } from './weights-metadata.ts'

export interface OnnxEncoder {
  readonly session: Session
  readonly config: Config
  /** The bands that it takes; null for images. */
  readonly bands: readonly string[] | null
  /** Metres a pixel that its positions are for; null when they do not matter. */
  readonly resolution: number | null
  readonly origin: { readonly path: string; readonly step: number | null }
}

const inputSchema = z.object({
  shape: z.array(z.number().int().positive()),
  bands: z.array(z.string()).nullable(),
  resolution: z.number().positive().nullable(),
})

/** Throws `CHECKPOINT` for a file that is not one of `sherd export onnx`. */
export async function openOnnxEncoder(path: string, { threads = coreCount() } = {}): Promise<OnnxEncoder> {
  const metadata = readMetadata(path)
  const format = metadata[FORMAT_KEY]
  if (format !== FORMAT)
    throw new SherdError(
      'CHECKPOINT',
      `${path} does not say how images are read for it: expected a file of "sherd export onnx" (${FORMAT}), got ${format ?? 'one without metadata of sherd'}.`,
    )
  const origin = readWeightsMetadata(path, metadata)
  if (!origin) throw new SherdError('CHECKPOINT', `${path} has lost the configuration of its model.`)
  try {
    const input = inputSchema.parse(JSON.parse(metadata[INPUT_KEY] ?? 'null'))
    const step = metadata['sherd.step']
    return {
      ...{ config: origin.config, bands: input.bands, resolution: input.resolution },
      origin: { path: resolve(path), step: step === undefined ? null : Number(step) },
      session: await openSession(path, { threads }),
    }
  } catch (error) {
    if (error instanceof SherdError) throw error
    const why = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error)
    throw new SherdError('CHECKPOINT', `${path}: its metadata "${INPUT_KEY}" cannot be understood: ${why}`, {
      cause: error,
    })
  }
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
