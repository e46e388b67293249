/** Builds the parts of a run from its configuration: objective, statistics, loader options. */

import { isAbsolute, resolve } from 'node:path'
import { SherdError } from '../errors.ts'
import type { MachinePlan } from '../machine/plan.ts'
import { chooseByAttention } from '../objective/attention-mask.ts'
import { chooseHardPatches } from '../objective/hard-patches.ts'
import { ijepa } from '../objective/ijepa.ts'
import type { ImageObjective } from '../objective/image-objective.ts'
import { type MaeOptions, mae } from '../objective/mae.ts'
import {
  chooseByFiles,
  type MaskChooserMaker,
  type MaskFunction,
  ratioSchedule,
} from '../objective/mask-chooser.ts'
import { asInBeit, asInBeitv2, asInMaskfeat, maskTokens } from '../objective/mask-tokens.ts'
import type { MaskedObjective, MaskedOptions } from '../objective/masked.ts'
import { expectMasked } from '../objective/masked.ts'
import { vqPixels } from '../objective/vq-pixels.ts'
import { vqkd } from '../objective/vqkd.ts'
import { namedRecipes } from '../prepare/augment/photometric-recipes.ts'
import type { DecodeRules } from '../prepare/decode/decode-request.ts'
import type { Fitting } from '../prepare/fit.ts'
import type { LoaderOptions } from '../prepare/loader/loader.ts'
import { type ChannelStatistics, imagenetStatistics } from '../prepare/normalize.ts'
import type { ViewSpecs } from '../prepare/view-spec.ts'
import { type NoteListener, tellNote } from '../source/notes.ts'
import { type ImageSource, openSource } from '../source/open.ts'
import type { RasterOptions } from '../source/raster/raster-folder.ts'
import type { GivenModels, Locate, PixelForm } from '../target/target-row.ts'
import { targetOf } from '../target/targets.ts'
import { momentumOf } from '../target/teacher.ts'
import type { Device } from '../tensor/tensor.ts'
import { sidesOf } from '../token/grid.ts'
import {
  backboneOf,
  bandsOf,
  compatOf,
  decoderOf,
  dimensionsOf,
  earlyHeadOf,
  maskDesignOf,
  masksOf,
  predictorOf,
  rastersOf,
  resolveConfig,
  targetKeysOf,
} from './resolve.ts'
import type { Config, ConfigInput, DecodedConfig, MaskedConfig } from './schema.ts'
import type { MaskTokenName, ObjectiveName } from './tables.ts'

/** What an objective may take beside a configuration. */
export interface ObjectiveGiven extends Pick<MaeOptions, 'embed'> {
  /** They are asked for when they are first needed. */
  readonly models?: GivenModels
  /** In place of what the keys of masks say. */
  readonly mask?: MaskFunction | undefined
}

type ObjectiveFactory<O extends ObjectiveName> = (
  config: Config<O>,
  device: Device,
  given: ObjectiveGiven,
) => ImageObjective

const notOpened = (path: string): never => {
  throw new SherdError('BUG', `Bug: ${path} is a frozen model, and nothing here opens it`)
}
const noModels: GivenModels = { frozen: notOpened, tokenizer: notOpened }

/** What follows the pixels. */
function chooserOf(config: MaskedConfig, models: GivenModels): MaskChooserMaker | null {
  const { mask } = config
  if (mask.kind === 'attention') {
    const { model, ...rule } = mask
    return chooseByAttention({ ...rule, teacher: model === null ? null : () => models.frozen(model) })
  }
  if (mask.kind === 'files') return chooseByFiles(mask.dir)
  if (mask.kind !== 'loss') return null
  const { hardFrom: from, hardTo: to, momentum, momentumTo, momentumEpochs: epochs } = mask
  const schedule = { kind: 'linear', from: momentum, to: momentumTo, over: { epochs } } as const
  return chooseHardPatches({ predictor: predictorOf(config, mask), from, to, momentum: schedule })
}

/** What is hidden. */
function maskOptions(
  config: MaskedConfig,
  models: GivenModels,
  given: MaskFunction | undefined,
): Pick<MaskedOptions, 'maskRatio' | 'mask' | 'maskSchedule' | 'chooser'> {
  const mask = maskDesignOf(config)
  if (given) return { maskRatio: mask.ratio, mask: given }
  const chooser = chooserOf(config, models)
  return {
    maskRatio: mask.ratio,
    mask,
    maskSchedule: ratioSchedule(config.mask),
    ...(chooser && { chooser }),
  }
}

/** Whether pixels of samples may lack data. */
const hasGaps = (config: Config): boolean => (rastersOf(config)?.data.minValid ?? 1) < 1

/** `pixels`: the form of a target of pixels. */
function maskTokenOptions(
  config: Config<MaskTokenName>,
  device: Device,
  { models = noModels, mask }: ObjectiveGiven,
  pixels: PixelForm,
): MaskedOptions {
  return {
    ...{ ...backboneOf(config), adapt: config.adapt, device },
    ...maskOptions(config, models, mask),
    target: targetOf(config.target).open({ compat: null, pixels, ...models }),
    gaps: hasGaps(config),
  }
}

/** With any decoder. */
function autoencoder(
  config: DecodedConfig,
  device: Device,
  { models = noModels, mask, embed = 'kept' }: ObjectiveGiven,
): MaskedObjective {
  const decoder = decoderOf(config)
  const compat = compatOf(config)
  return mae({
    ...backboneOf(config),
    adapt: config.adapt,
    decoder: decoder.kind === 'cross-attention' ? decoder : { ...decoder, compat },
    ...maskOptions(config, models, mask),
    target: targetOf(config.target).open({ compat, ...models }),
    gaps: hasGaps(config),
    embed,
    device,
  })
}

/** The objectives by name: a new one is one row. */
const objectives: { readonly [O in ObjectiveName]: ObjectiveFactory<O> } = {
  mae: autoencoder,
  simmim: (config, device, given) =>
    maskTokens({ ...maskTokenOptions(config, device, given, 'simmim'), ...asInBeit }),
  maskfeat: (config, device, given) =>
    maskTokens({ ...maskTokenOptions(config, device, given, 'mae'), ...asInMaskfeat }),
  beit: (config, device, given) =>
    maskTokens({ ...maskTokenOptions(config, device, given, 'mae'), ...asInBeit }),
  beitv2(config, device, given) {
    const early = earlyHeadOf(config)
    return maskTokens({ ...maskTokenOptions(config, device, given, 'mae'), ...asInBeitv2(early), early })
  },
  crossmae: autoencoder,
  data2vec: (config, device, given) =>
    maskTokens({ ...maskTokenOptions(config, device, given, 'mae'), ...asInBeit }),
  ijepa: ({ blocks, predictor, teacher, ...config }, device) =>
    ijepa({
      ...{ ...backboneOf(config as Config), adapt: config.adapt, mask: blocks, predictor, device },
      momentum: momentumOf(teacher),
    }),
  vqkd({ codebook: { decoderDepth, ...codebook }, ...config }, device, { models = noModels }) {
    const target = targetOf(config.target).open({ compat: null, ...models })
    const { adapt } = config
    return vqkd({ ...backboneOf(config as Config), adapt, codebook, decoderDepth, target, device })
  },
  'vq-pixels'({ codebook: { decoderDepth, ...codebook }, model }) {
    const { imageSize, patchSize, channels, width, depth } = model
    return vqPixels({
      ...{ imageSize, patchSize: sidesOf(patchSize), channels, width, codebook },
      depth: { encoder: depth, decoder: decoderDepth },
    })
  },
}

export const objectiveOf = (config: Config, device: Device, given: ObjectiveGiven = {}): ImageObjective =>
  (objectives[config.objective] as ObjectiveFactory<ObjectiveName>)(config, device, given)

/** The same for `what`, which needs masks and predictions. Throws `USAGE` for an objective without. */
export const maskedObjectiveOf = (
  config: Config,
  device: Device,
  { what = 'This', ...given }: ObjectiveGiven & { readonly what?: string } = {},
): MaskedObjective => expectMasked(objectiveOf(config, device, given), { name: config.objective, what })

/** The path of the teacher that masks follow; null: none. */
export function maskModelOf(config: Config): string | null {
  const mask = masksOf(config)
  return mask?.kind === 'attention' ? mask.model : null
}

/** The folder of the masks that come with images; null: none. */
export function maskFolderOf(config: Config): string | null {
  const mask = masksOf(config)
  return mask?.kind === 'files' ? mask.dir : null
}

/** Paths of the models that its objective reads. */
export function modelsOf(config: Config, kind: keyof GivenModels): readonly string[] {
  const target = targetKeysOf(config)
  const mask = kind === 'frozen' ? maskModelOf(config) : null
  const ofTarget = target ? targetOf(target).models(kind) : []
  return mask === null || ofTarget.includes(mask) ? ofTarget : [...ofTarget, mask]
}

/** Of all kinds. */
export const allModelsOf = (config: Config): readonly string[] =>
  (['frozen', 'tokenizer'] as const).flatMap((kind) => modelsOf(config, kind))

/** The configuration with what it takes from models that it names, and the absolute path of its masks. */
export async function completed(config: Config, locate: Locate): Promise<Config> {
  const [keys, model] = [targetKeysOf(config), maskModelOf(config)]
  const target = keys && (await targetOf(keys).complete(locate))
  const found = model === null ? null : (await locate.frozen(model)).path
  const masks = maskFolderOf(config)
  if (target === keys && found === model && (masks === null || isAbsolute(masks))) return config
  return resolveConfig({
    ...config,
    ...(target && { target }),
    ...(found !== null && { mask: { ...masksOf(config), model: found } }),
    ...(masks !== null && { mask: { ...masksOf(config), dir: resolve(masks) } }),
  } as ConfigInput)
}

// Of ImageNet in grey: the luma of its channel means, and a commonly used deviation.
const greyStatistics: ChannelStatistics = { mean: [0.449], std: [0.226] }

const rangeOf = ({ data }: Config) => (data.kind === 'images' ? data.range : null)

/** Undefined for rasters. */
const rulesOf = ({ data }: Config): DecodeRules | undefined =>
  data.kind === 'images'
    ? { interpolation: data.interpolation, colours: data.colours, fill: data.fill }
    : undefined

/** How whole images become samples outside training; null: the largest centred box, and always for rasters. */
export function fittingOf({ data, model }: Config): Fitting | null {
  if (data.kind !== 'images' || (data.resize === 'box' && data.rounding === 'bytes')) return null
  const { resize, inputSize, cropShare, cutRule, rounding, maxPatches: most } = data
  const budget = resize === 'patches' ? { patch: sidesOf(model.patchSize), most } : null
  return { resize, inputSize, cropShare, cutRule, isExact: rounding === 'none', ...(budget && { budget }) }
}

const photometricOf = ({ data }: Config) =>
  data.kind === 'images' && data.photometric ? namedRecipes[data.photometric] : null

/** The shape of prepared samples, and limits. For rasters, `source` gives the bands. */
export function sampleSize(config: Config, source?: ImageSource) {
  const { imageSize, channels: all, patchSize } = dimensionsOf(config)
  const channels = source?.kind === 'rasters' ? source.rasters.bands.length : all
  const [height, width] = imageSize
  const { maxPixels, corrupt, fileTimeout } = config.data
  const rasters = rastersOf(config)
  const limits = {
    ...{ minSide: Math.max(...patchSize), maxPixels, range: rangeOf(config), corrupt, fileTimeout },
    rules: rulesOf(config),
  }
  const { frames = null } = rasters?.model ?? {}
  return { height, width, channels, ...limits, frames, minValid: rasters?.data.minValid ?? 0 }
}

/** Null for images. `bands`: those of the source, if not all. */
export function rasterOptions(
  config: Config,
  bands: readonly string[] | null = bandsOf(config),
): RasterOptions | null {
  const rasters = rastersOf(config)
  if (!rasters || !bands) return null
  const { bandNames, pattern, window, nodata, applyScale } = rasters.data
  return { bands, bandNames, pattern, window, nodata, applyScale, frames: rasters.model.frames }
}

/** Opens the folder as configured, with notes about its data. */
export async function openData(
  config: Config,
  dir: string,
  rasters: RasterOptions | null = rasterOptions(config),
): Promise<ImageSource> {
  const source = await openSource(dir, rasters)
  if (source.kind !== 'images' || rangeOf(config)) return source
  const { depthNote } = await import('../prepare/decode/bit-depth.ts') // loads libvips
  const note = await depthNote(source, config.data)
  if (note === null) return source
  tellNote(note)
  return { ...source, notes: [...(source.notes ?? []), note] }
}

/** ImageNet's, for the model's channels. */
export const usualStatistics = (config: Config): ChannelStatistics =>
  config.model.channels === 1 ? greyStatistics : imagenetStatistics

/** `data.mean` and `data.std`, or null. */
export const givenStatistics = ({ data }: Config): ChannelStatistics | null =>
  data.kind === 'images' && data.mean && data.std ? { mean: data.mean, std: data.std } : null

/** The given statistics, ImageNet's, or those of the data, measured now. `onNote` gets warnings about implausible data. */
export async function channelStatistics(
  config: Config,
  source: ImageSource,
  onNote: NoteListener = tellNote,
): Promise<ChannelStatistics> {
  if (source.kind === 'rasters' && config.data.kind === 'rasters') {
    const { measureRasterStatistics } = await import('../prepare/raster/raster-statistics.ts')
    const { clip } = config.data
    const { mean, std, low, high, notes } = await measureRasterStatistics(source, { clip })
    for (const note of notes) onNote(note)
    return { mean, std, ...(low && high && { low, high }) }
  }
  const given = givenStatistics(config)
  if (given || config.data.statistics === 'imagenet') return given ?? usualStatistics(config)
  const { measureStatistics } = await import('../prepare/statistics.ts') // loads libvips, not needed otherwise
  const { mean, std } = await measureStatistics(source, sampleSize(config))
  return { mean, std }
}

export type DecodingPlan = Pick<MachinePlan, 'decodeThreads'>

/** Loader options of inference, at the model's size. */
export const inferenceOptions = (config: Config, source: ImageSource, plan: DecodingPlan): LoaderOptions => ({
  ...loaderOptions(config, source, plan),
  photometric: null,
  fitting: fittingOf(config),
})

interface StreamOptions {
  /** Those of the objective; by default one crop of the model's size. */
  readonly views?: ViewSpecs | undefined
  /** The first sample of the endless stream; 0 by default. */
  readonly firstPosition?: number
}

/** Loader options of training. */
export function loaderOptions(
  config: Config,
  source: ImageSource,
  plan: DecodingPlan,
  { views, firstPosition = 0 }: StreamOptions = {},
): LoaderOptions {
  const { crop, scale, ratio, flip, maxSkippedShare, prefetchBatches } = config.data
  return {
    ...{ ...sampleSize(config, source), views, photometric: photometricOf(config) },
    ...{ source, crop, scale, ratio, flip, maxSkippedShare, prefetchBatches, firstPosition },
    seed: config.train.seed,
    batchSize: config.train.batchSize,
    decodeThreads: plan.decodeThreads,
  }
}
