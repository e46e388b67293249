/** Configuration → the pieces that train: objective, statistics, loader options. What a run needs before its first step. */

import { SherdError } from '../errors.ts'
import type { MachinePlan } from '../machine/plan.ts'
import { type MaeOptions, type MaskedAutoencoder, mae } from '../objective/mae.ts'
import type { LoaderOptions } from '../prepare/loader/loader.ts'
import { type ChannelStatistics, imagenetStatistics } from '../prepare/normalize.ts'
import { type NoteListener, tellNote } from '../source/notes.ts'
import { type ImageSource, openSource } from '../source/open.ts'
import type { RasterOptions } from '../source/raster/raster-folder.ts'
import type { TargetGiven } from '../target/target-row.ts'
import { targetOf } from '../target/targets.ts'
import type { Device } from '../tensor/tensor.ts'
import { backboneOf, bandsOf, decoderOf, dimensionsOf, maskDesignOf, rastersOf } from './resolve.ts'
import type { Config } from './schema.ts'
import type { ObjectiveName } from './tables.ts'

/** What an objective may take beside a configuration. */
export interface ObjectiveGiven extends Pick<MaeOptions, 'embed'> {
  /** Opens a model that is not trained, by its path; it is asked for when it is first needed. */
  readonly frozen?: TargetGiven['frozen']
}

type ObjectiveFactory<O extends ObjectiveName> = (
  config: Config<O>,
  device: Device,
  given: ObjectiveGiven,
) => MaskedAutoencoder

const noFrozen = (path: string): never => {
  throw new SherdError('BUG', `Bug: ${path} is a teacher, and nothing here opens it`)
}

/** The objectives by name: a new one is one row. */
const objectives: { readonly [O in ObjectiveName]: ObjectiveFactory<O> } = {
  mae(config, device, { frozen = noFrozen, embed = 'kept' }) {
    const mask = maskDesignOf(config)
    const rasters = rastersOf(config)
    const compat = rasters?.decoder.compat ?? null
    return mae({
      ...backboneOf(config),
      decoder: { ...decoderOf(config), compat },
      maskRatio: mask.ratio,
      mask,
      target: targetOf(config.target).open({ compat, frozen }),
      gaps: (rasters?.data.minValid ?? 1) < 1,
      embed,
      device,
    })
  },
}

export const objectiveOf = (config: Config, device: Device, given: ObjectiveGiven = {}): MaskedAutoencoder =>
  (objectives[config.objective] as ObjectiveFactory<ObjectiveName>)(config, device, given)

// ImageNet's grey images: the luma of its channel means, and a deviation as commonly used for them.
const greyStatistics: ChannelStatistics = { mean: [0.449], std: [0.226] }

const rangeOf = ({ data }: Config) => (data.kind === 'images' ? data.range : null)

/** The size that samples are prepared to, and what is refused. Of rasters, `source` says which bands there are. */
export function sampleSize(config: Config, source?: ImageSource) {
  const { imageSize, channels: all, patchSize } = dimensionsOf(config)
  const channels = source && 'rasters' in source ? source.rasters.bands.length : all
  const [height, width] = imageSize
  const { maxPixels, corrupt, fileTimeout } = config.data
  const rasters = rastersOf(config)
  const limits = { minSide: patchSize, maxPixels, range: rangeOf(config), corrupt, fileTimeout }
  const { frames = null } = rasters?.model ?? {}
  return { height, width, channels, ...limits, frames, minValid: rasters?.data.minValid ?? 0 }
}

/** What is asked of rasters, or null where the data are images. `bands`: those that are there, where not all are. */
export function rasterOptions(
  config: Config,
  bands: readonly string[] | null = bandsOf(config),
): RasterOptions | null {
  const rasters = rastersOf(config)
  if (!rasters || !bands) return null
  const { bandNames, pattern, window, nodata, applyScale } = rasters.data
  return { bands, bandNames, pattern, window, nodata, applyScale, frames: rasters.model.frames }
}

/** The folder's images or rasters, as the configuration reads them, with what is to be known of them. */
export async function openData(
  config: Config,
  dir: string,
  rasters: RasterOptions | null = rasterOptions(config),
): Promise<ImageSource> {
  const source = await openSource(dir, rasters)
  if ('rasters' in source || 'pack' in source || rangeOf(config)) return source
  const { depthNote } = await import('../prepare/decode/bit-depth.ts') // loads libvips
  const note = await depthNote(source, config.data)
  if (note === null) return source
  tellNote(note)
  return { ...source, notes: [...(source.notes ?? []), note] }
}

/** ImageNet's statistics, for as many channels as the model has. */
export const usualStatistics = (config: Config): ChannelStatistics =>
  config.model.channels === 1 ? greyStatistics : imagenetStatistics

/** ImageNet's statistics, or the data set's own, measured now. `onNote` gets what no real data are like. */
export async function channelStatistics(
  config: Config,
  source: ImageSource,
  onNote: NoteListener = tellNote,
): Promise<ChannelStatistics> {
  if ('rasters' in source && config.data.kind === 'rasters') {
    const { measureRasterStatistics } = await import('../prepare/raster/raster-statistics.ts')
    const { clip } = config.data
    const { mean, std, low, high, notes } = await measureRasterStatistics(source, { clip })
    for (const note of notes) onNote(note)
    return { mean, std, ...(low && high && { low, high }) }
  }
  if (config.data.statistics === 'imagenet') return usualStatistics(config)
  const { measureStatistics } = await import('../prepare/statistics.ts') // loads libvips, which steps do not need
  const { mean, std } = await measureStatistics(source, sampleSize(config))
  return { mean, std }
}

type DecodingPlan = Pick<MachinePlan, 'decodeThreads'>

/** How samples are read to be looked at: at the model's own size. */
export const inferenceOptions = (config: Config, source: ImageSource, plan: DecodingPlan): LoaderOptions => ({
  ...loaderOptions(config, source, plan, 0),
  ...sampleSize(config, source),
})

/** How training samples are read, from position `firstPosition` of their endless stream on. */
export function loaderOptions(
  config: Config,
  source: ImageSource,
  plan: DecodingPlan,
  firstPosition: number,
): LoaderOptions {
  const { crop, scale, ratio, flip, maxSkippedShare, prefetchBatches } = config.data
  const size = sampleSize(config, source)
  const larger = (config.target.kind === 'pixels' && config.target.scales?.at(-1)) || 1 // pictures of several sizes are learned from the largest
  return {
    ...{ ...size, height: size.height * larger, width: size.width * larger },
    ...{ source, crop, scale, ratio, flip, maxSkippedShare, prefetchBatches, firstPosition },
    seed: config.train.seed,
    batchSize: config.train.batchSize,
    decodeThreads: plan.decodeThreads,
  }
}
