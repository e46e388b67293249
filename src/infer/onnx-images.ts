/** Samples of a folder for exported files, without LibTorch. */

import { type Reads, readingConfig } from '../config/reading.ts'
import { backboneOf } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import { inputName } from '../export/pixels-input.ts'
import { positionsName, positionsOf } from '../export/positions-input.ts'
import { samplesOf } from '../export/sample-input.ts'
import { coreCount } from '../machine/hardware.ts'
import { isOfRasters, type Pixels } from '../prepare/pixels.ts'
import type { ImageSource } from '../source/open.ts'
import { gathering, type ReadingOptions } from '../weights/folder-features.ts'
import { type FolderSegmentation, windowing } from '../weights/folder-segmentation.ts'
import type { GatherOptions } from '../weights/gather-rows.ts'
import { openFor } from '../weights/open-encoder.ts'
import type { OnnxModel } from './onnx-model.ts'

/** The graph of a scaled model holds positions for one resolution. */
function checkResolution(samples: Pixels, expected: number | null, dir: string): void {
  if (!isOfRasters(samples) || expected === null) return
  for (const metres of samples.resolution)
    if (!Number.isNaN(metres) && Math.abs(metres / expected - 1) > 0.01)
      throw new SherdError(
        'VALUE',
        `The file was exported for ${expected} metres a pixel, and ${dir} has samples of ${metres.toFixed(2)}: use the model itself, which takes any.`,
      )
}

/** The inputs of an encoder's graph, with or without a head. */
export function inputsOf({ config, inputs }: Pick<OnnxModel, 'config' | 'inputs'>, batch: Pixels) {
  const positions = inputs.includes(positionsName)
    ? { [positionsName]: positionsOf(backboneOf(config), batch) }
    : {}
  return { [inputName]: samplesOf(batch), ...positions }
}

const decodeThreadsOf = ({ data }: Config) => data.workers || Math.max(1, Math.floor(coreCount() / 4))

type Reading = Reads & Pick<OnnxModel, 'resolution'>

/** How the rows of a source are gathered. Reading throws `VALUE` for samples of another resolution, and `DATA_BROKEN`. */
export function onnxGathering(
  { resolution, ...model }: Reading,
  source: ImageSource,
  options: ReadingOptions = {},
): Omit<GatherOptions, 'compute'> {
  const config = readingConfig(model)
  const decodeThreads = decodeThreadsOf(config)
  const { images, ...rest } = gathering(config, source, {
    ...options,
    decoding: { decodeThreads },
    shape: backboneOf(config),
  })
  return {
    ...rest,
    async *images(from, onSkip) {
      for await (const batch of images(from, onSkip)) {
        for (const { samples } of batch.parts) checkResolution(samples, resolution, source.dir)
        yield batch
      }
    },
  }
}

/** Windows of all images of a folder. Throws `SOURCE`; reading throws as `onnxGathering`. */
export async function openOnnxWindows(
  { resolution, ...model }: Reading & Pick<OnnxModel, 'bands'>,
  dir: string,
): Promise<Pick<FolderSegmentation, 'source' | 'images' | 'limit'>> {
  const source = await openFor(model, dir)
  const config = readingConfig(model)
  const decoding = { decodeThreads: decodeThreadsOf(config) }
  const { images, ...rest } = windowing(config, source, { decoding, shape: backboneOf(config) })
  return {
    ...rest,
    async *images(from, onSkip) {
      for await (const batch of images(from, onSkip)) {
        checkResolution(batch, resolution, source.dir)
        yield batch
      }
    },
  }
}
