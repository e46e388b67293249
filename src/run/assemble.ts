/** Configuration → the pieces that train: objective, statistics, loader options. What a run needs before its first step. */
import { dimensionsOf } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import type { MachinePlan } from '../machine/plan.ts'
import type { Dimensions } from '../model/dimensions.ts'
import { mae } from '../objective/mae.ts'
import type { Objective } from '../objective/objective.ts'
import type { LoaderOptions } from '../prepare/loader.ts'
import { type ChannelStatistics, imagenetStatistics } from '../prepare/normalize.ts'
import type { ImageSource } from '../source/open.ts'
import type { Device } from '../tensor/tensor.ts'

type ObjectiveFactory = (config: Config, dimensions: Dimensions, device: Device) => Objective

/** The objectives by name: a new one is one row. */
const objectives = {
  mae: ({ mask, target }, dimensions, device) =>
    mae({ dimensions, maskRatio: mask.ratio, normalizeTarget: target.normalize, device }),
} satisfies Record<Config['objective'], ObjectiveFactory>

export const objectiveOf = (config: Config, device: Device): Objective =>
  objectives[config.objective](config, dimensionsOf(config), device)

// ImageNet's grey images: the luma of its channel means, and a deviation as commonly used for them.
const greyStatistics: ChannelStatistics = { mean: [0.449], std: [0.226] }

/** The size that samples are prepared to, and what is refused. */
export function sampleSize(config: Config) {
  const { imageSize, channels, patchSize } = dimensionsOf(config)
  const [height, width] = imageSize
  return { height, width, channels, minSide: patchSize, maxPixels: config.data.maxPixels }
}

/** ImageNet's statistics, for as many channels as the model has. */
export const usualStatistics = (config: Config): ChannelStatistics =>
  config.model.channels === 1 ? greyStatistics : imagenetStatistics

/** ImageNet's statistics, or the data set's own, measured now. */
export async function channelStatistics(config: Config, source: ImageSource): Promise<ChannelStatistics> {
  if (config.data.statistics === 'imagenet') return usualStatistics(config)
  const { measureStatistics } = await import('../prepare/statistics.ts') // loads libvips, which steps do not need
  const { mean, std } = await measureStatistics(source, sampleSize(config))
  return { mean, std }
}

/** How training samples are read, from position `firstPosition` of their endless stream on. */
export function loaderOptions(
  config: Config,
  source: ImageSource,
  plan: MachinePlan,
  firstPosition: number,
): LoaderOptions {
  const { crop, scale, ratio, flip, maxSkippedShare, prefetchBatches } = config.data
  return {
    ...sampleSize(config),
    ...{ source, crop, scale, ratio, flip, maxSkippedShare, prefetchBatches, firstPosition },
    seed: config.train.seed,
    batchSize: config.train.batchSize,
    decodeThreads: plan.decodeThreads,
  }
}
