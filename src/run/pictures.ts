/** Reconstructions of a few images, as a run sees them: centred crops, a mask that depends on nothing but the image. */
import { dimensionsOf } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import { type Parameters, weightsOf } from '../model/parameters.ts'
import type { Objective } from '../objective/objective.ts'
import { type Reconstructions, reconstruct, type StatisticsUsed } from '../picture/reconstruction.ts'
import { centerCrop } from '../prepare/crop.ts'
import { openReader } from '../prepare/image-reader.ts'
import { type ChannelStatistics, normalizePixels, type Pixels } from '../prepare/normalize.ts'
import { brokenData, type SkippedFile } from '../prepare/skipped.ts'
import type { ImageSource } from '../source/open.ts'
import { noGrad } from '../tensor/context.ts'
import { scope } from '../tensor/scope.ts'
import type { Device } from '../tensor/tensor.ts'
import { sampleSize } from './assemble.ts'

export interface Exhibit extends Pixels {
  /** The index in the source of each image. */
  readonly indices: readonly number[]
}

/** Up to `count` images spread evenly over the source; files that cannot be decoded are passed over. */
export async function loadExhibit(config: Config, source: ImageSource, count: number): Promise<Exhibit> {
  const { height, width, channels, minSide, maxPixels } = sampleSize(config)
  const target = { height, width }
  const place = (image: { height: number; width: number }) => ({
    box: centerCrop(image, target),
    flip: false,
  })
  const reader = openReader(source, 1)
  const samples: Uint8Array[] = []
  const indices: number[] = []
  const skipped: SkippedFile[] = []
  const wanted = Math.min(count, source.files.length)
  const tried = new Set<number>()
  const spread = Array.from({ length: wanted }, (_, i) => Math.floor((i * source.files.length) / wanted))
  for (const index of [...spread, ...source.files.keys()]) {
    if (samples.length === wanted) break
    if (tried.has(index)) continue
    tried.add(index)
    const file = source.files[index]!
    const out = new Uint8Array(height * width * channels)
    const [reason = null] = await reader.read([{ index, row: 0, place }], {
      target,
      channels,
      minSide,
      maxPixels,
      out,
    })
    if (reason === null) {
      samples.push(out)
      indices.push(index)
    } else {
      skipped.push({ file, reason })
      if (skipped.length > 100) break
    }
  }
  reader.close()
  if (samples.length === 0)
    throw brokenData(skipped, { files: skipped.length, maxShare: config.data.maxSkippedShare })
  return { pixels: Buffer.concat(samples), shape: [samples.length, height, width, channels], indices }
}

export interface Model {
  readonly config: Config
  readonly objective: Objective
  readonly parameters: Parameters
  readonly statistics: ChannelStatistics
  readonly device: Device
}

/** Rebuilds the exhibit's images. The mask of an image is drawn at (seed, `mask`, epoch 0, its index). */
export function reconstructExhibit(
  model: Model,
  exhibit: Exhibit,
  seed: number,
  used?: readonly StatisticsUsed[],
): Reconstructions {
  const { config, objective, parameters, statistics, device } = model
  if (exhibit.shape[0] === 0) throw new SherdError('SOURCE', 'There is no image to reconstruct.')
  return noGrad(() =>
    scope(() =>
      reconstruct({
        objective,
        dimensions: dimensionsOf(config),
        normalizeTarget: config.target.normalize,
        weights: weightsOf(parameters),
        images: normalizePixels(exhibit, statistics, device),
        plan: objective.plan(seed, {
          epochs: new Int32Array(exhibit.indices.length),
          indices: exhibit.indices,
        }),
        channelStatistics: statistics,
        ...(used && { statistics: used }),
      }),
    ),
  )
}
