/** Resolves a configuration: complete, checked, frozen; and values derived from it. */
import { didYouMean, messageOf, SherdError } from '../errors.ts'
import {
  type BackboneShape,
  checkBackbone,
  checkDecoder,
  layoutOf,
  plainBackbone,
} from '../model/backbone-shape.ts'
import { convolutionalRows } from '../model/convolutional.ts'
import type {
  AnyDecoder,
  AutoencoderDimensions,
  CrossAttentionDimensions,
  DecoderDimensions,
  EncoderDimensions,
  EncoderVariant,
} from '../model/dimensions.ts'
import { checkFeatureMaps, gridOfModel } from '../model/dimensions.ts'
import { checkEarlyHead, type EarlyHead, usualEarlyLayers } from '../model/early-head.ts'
import type { TokenMultiples } from '../model/flops.ts'
import { type SizeName, sizes } from '../model/sizes.ts'
import { canonicalBand } from '../source/raster/band-names.ts'
import { targetOf } from '../target/targets.ts'
import { type Grid, gridOf, sidesOf, tokenCount } from '../token/grid.ts'
import { layoutTokens } from '../token/layout.ts'
import { keptTokens, type MaskDesign, randomMask } from '../token/mask-design.ts'
import type { MaskShape } from '../token/mask-kinds.ts'
import { meanRatio } from '../token/mask-ratio.ts'
import { checkAttentionRule } from '../token/mask-rules.ts'
import { checkMultiBlocks } from '../token/multi-block.ts'
import { clsPrefix, type Prefix, registerTokens } from '../token/prefix.ts'
import { faultsOf, inShort } from './faults.ts'
import { chosenBy, isTree } from './keys.ts'
import { VERSION } from './migrations.ts'
import { schemaOf } from './parts.ts'
import type {
  Config,
  ConfigInput,
  DecodedConfig,
  MaskedConfig,
  RasterConfig,
  TargetedConfig,
} from './schema.ts'
import { type MaskTokenName, type ObjectiveName, readOfModel } from './tables.ts'

/** Removes keys whose value is undefined. */
const withoutUndefined = (input: unknown): unknown =>
  isTree(input)
    ? Object.fromEntries(
        Object.entries(input).flatMap(([key, value]) =>
          value === undefined ? [] : [[key, withoutUndefined(value)]],
        ),
      )
    : input

function freeze<T>(value: T): T {
  if (value && typeof value === 'object') for (const inner of Object.values(value)) freeze(inner)
  return Object.freeze(value)
}

/** A configuration before derived defaults are filled in. */
interface Draft {
  readonly data: { readonly bands?: readonly string[] }
  readonly model: ConfigInput['model'] & { readonly size: SizeName }
}

/** Parses, completes and checks a configuration; the result is frozen. Throws `CONFIG`. `storedConfig` reads those of earlier versions. */
export function resolveConfig(input: ConfigInput): Config {
  const version: unknown = (input as ConfigInput | null)?.version
  if (version !== undefined && version !== VERSION)
    throw new SherdError(
      'CONFIG',
      `version: expected ${VERSION} or none, got ${inShort(version)}. A configuration that another version has stored is read by storedConfig.`,
    )
  const chosen = chosenBy(input)
  const schema = schemaOf(chosen)
  const parsed = schema.safeParse(withoutUndefined(input))
  if (!parsed.success) throw faultsOf(parsed.error, input, chosen)
  const { data, model } = parsed.data as unknown as Draft
  const row = sizes[model.size]
  // Parsed again for the order of keys: a configuration read from a file must be written identically.
  const config = schema.parse({
    ...parsed.data,
    data: { ...data, kind: chosen['data.kind'] },
    model: {
      ...model,
      patchSize: model.patchSize ?? row.patchSize,
      channels: model.channels ?? data.bands?.length ?? 3,
      width: model.width ?? row.width,
      depth: model.depth ?? row.depth,
      // Of an encoder without attention they mean nothing, and divide every width.
      heads: model.heads ?? (readOfModel(chosen.objective as ObjectiveName) ? 1 : row.heads),
    },
  }) as unknown as Config
  try {
    checkBands(config)
    checkPhotometric(config)
    checkResize(config)
    checkVariant(config)
    checkChannelNumbers(config)
    if (!readOfModel(config.objective)) checkBackbone(backboneOf(config))
    checkBatch(config)
    ;(checks[config.objective] as (config: Config) => void)(config)
  } catch (error) {
    throw new SherdError('CONFIG', messageOf(error), { cause: error })
  }
  return freeze(config)
}

/** Limit for the samples of a micro-batch, against mistakes and untrusted files. */
const MAX_BATCH_BYTES = 2 ** 37

function checkBatch(config: Config): void {
  const { model, train } = config
  const [height, width] = model.imageSize
  const sample = framesOf(config) * height * width * model.channels * (bandsOf(config) ? 4 : 1)
  if (sample * train.batchSize > MAX_BATCH_BYTES)
    throw new SherdError(
      'CONFIG',
      `train.batchSize ${train.batchSize} samples of ${sample} bytes are ${Math.round((sample * train.batchSize) / 2 ** 30)} GiB: at most ${MAX_BATCH_BYTES / 2 ** 30} are supported; train.accumulate makes larger batches of small ones`,
    )
}

const refuse = (what: string): never => {
  throw new SherdError('CONFIG', what)
}

function checkPhotometric({ data, model }: Config): void {
  if (data.kind === 'images' && data.photometric && model.channels !== 3)
    refuse(`data.photometric is for images of 3 channels, and model.channels is ${model.channels}`)
}

function checkResize({ data, model }: Config): void {
  if (data.kind !== 'images') return
  if (data.resize === 'patches' && data.cropShare !== 1)
    refuse(`data.resize patches keeps whole images, and data.cropShare is ${data.cropShare}: expected 1`)
  if (data.inputSize === null) return
  if (data.resize === 'patches')
    refuse(`data.resize patches gives each image its own size, and data.inputSize is set: expected null`)
  if (data.resize === 'box')
    refuse('data.inputSize is set, and data.resize is box, which cuts before it resizes: expected null')
  const [size, own] = [data.inputSize, model.imageSize]
  if (size.some((side, axis) => side < own[axis]!))
    refuse(
      `data.inputSize is ${size.join(' × ')}, and model.imageSize ${own.join(' × ')}: the model takes a part of it, so it is as large or larger`,
    )
}

function checkChannelNumbers({ data, model }: Config): void {
  if (data.kind !== 'images') return
  if ((data.mean === null) !== (data.std === null))
    refuse('data.mean and data.std are given together, or neither')
  for (const key of ['mean', 'std', 'fill'] as const) {
    const numbers = data[key]
    if (numbers && numbers.length !== model.channels)
      refuse(`data.${key} has ${numbers.length} numbers, and model.channels is ${model.channels}`)
  }
}

function checkBands(config: Config): void {
  const [bands, { channels }] = [bandsOf(config), config.model]
  if (!bands) return
  if (channels !== bands.length)
    refuse(`model.channels is ${channels}, but data.bands names ${bands.length} bands: leave it out`)
  const names = bands.map(canonicalBand)
  const twice = names.findIndex((name, i) => names.indexOf(name) !== i)
  if (twice >= 0) refuse(`data.bands names ${bands[twice]} twice`)
}

/** Checks between keys of published encoders. */
function checkVariant({ model }: Config): void {
  const { positionGrid, positions, relativePositions } = model
  if (positionGrid && positions !== 'learned' && relativePositions === null)
    refuse('model.positionGrid is of learned or relative positions, and this model has none')
  if (model.relativeResampling !== 'linear' && relativePositions === null)
    refuse('model.relativeResampling is of relative positions, and this model has none')
  if (model.projection !== null && (!model.cls || model.attentionPool))
    refuse('model.projection is of the cls token: expected model.cls true and model.attentionPool false')
  if (!model.cls && model.feature.startsWith('cls'))
    refuse(`model.feature is ${model.feature}, and model.cls is false: expected mean or pooled`)
}

/** Of masks that do not follow addresses. */
function checkChosenMask(config: MaskedConfig): void {
  const { mask } = config
  if (mask.kind === 'files' && rastersOf(config))
    refuse('mask.kind files is for image files, and data.bands names bands of rasters')
  if (mask.kind !== 'attention' && mask.kind !== 'loss') return
  const layout = layoutOf(backboneOf(config))
  if ((rastersOf(config)?.data.minValid ?? 1) < 1)
    refuse(`mask.kind ${mask.kind} needs samples without gaps: set data.minValid to 1`)
  if (mask.kind === 'loss') checkDecoder(backboneOf(config), predictorOf(config, mask))
  else {
    checkAttentionRule(mask.rule, layoutTokens(layout), mask)
    keptTokens(layout, randomMask(mask.ratioBefore), 'mask.ratioBefore')
  }
}

function checkMask(config: MaskedConfig): void {
  const { mask } = config
  const layout = layoutOf(backboneOf(config))
  const design = maskDesignOf(config)
  checkChosenMask(config)
  if (mask.kind === 'attention') return
  const patches = tokenCount(layout.grid)
  for (const [key, ratio] of [
    ['ratio', mask.ratio],
    ['ratioTo', 'ratioTo' in mask ? mask.ratioTo : null],
  ] as const) {
    if (ratio === null) continue
    keptTokens(layout, { ...design, ratio }, `mask.${key}`)
    const hidden = patches - Math.floor(patches * (1 - ratio))
    if (mask.kind === 'block' && mask.minBlock !== null && mask.minBlock > hidden)
      refuse(
        `mask.minBlock is ${mask.minBlock}, and mask.${key} ${ratio} hides ${hidden} of ${patches} patches: expected at most ${hidden}`,
      )
  }
  const cell = mask.kind === 'coarse' ? mask.cell : null
  if (cell === null) return
  const [patch, size] = [sidesOf(config.model.patchSize), config.model.imageSize]
  if (patch.some((side) => cell % side !== 0))
    refuse(`mask.cell is ${cell} pixels, and a patch ${patch.join(' × ')}: expected a multiple of its sides`)
  if (size.every((side) => cell >= side))
    refuse(
      `mask.cell is ${cell} pixels, and model.imageSize ${size.join(' × ')}: one cell covers all, take a smaller one`,
    )
}

function checkMaskTokens(config: Config<MaskTokenName>): void {
  const { target } = config
  checkHidden(config)
  if (target.kind === 'pixels' && target.scales !== null)
    refuse(
      `target.scales needs the decoder of objective mae, and objective is ${config.objective}: leave it out`,
    )
}

function checkCrossAttention(config: DecodedConfig, decoder: CrossAttentionDimensions): void {
  checkFeatureMaps({ encoder: dimensionsOf(config), decoder })
  const { ratio } = config.mask
  const { decodeRatio = null } = decoder
  if (decodeRatio === null) return
  if (decodeRatio > ratio)
    refuse(
      `decoder.decodeRatio is ${decodeRatio}, the share of all patches that is predicted, and mask.ratio hides ${ratio}: expected at most that, or null for all that are hidden`,
    )
}

/** Masks and target fit the samples, also those with gaps. */
function checkHidden(config: DecodedConfig | Config<MaskTokenName>): void {
  checkMask(config)
  const ratio = Math.min(config.mask.ratio, ('ratioTo' in config.mask && config.mask.ratioTo) || 1)
  const target = targetOf(config.target)
  target.check(backboneOf(config))
  const { minValid } = rastersOf(config)?.data ?? { minValid: 1 }
  if (minValid < 1 - ratio)
    refuse(
      `data.minValid ${minValid} is less than the share of tokens that are seen (1 − mask.ratio = ${Number((1 - ratio).toFixed(4))}): samples could have less data than that`,
    )
  if (target.wholeSamples !== null && minValid < 1)
    refuse(`${target.wholeSamples} needs samples without gaps: set data.minValid to 1`)
}

function checkAutoencoder(config: DecodedConfig): void {
  const decoder = decoderOf(config)
  checkDecoder(backboneOf(config), decoder)
  if (decoder.kind === 'cross-attention') checkCrossAttention(config, decoder)
  checkHidden(config)
}

/** Checks between keys, by objective. */
const checks: { readonly [O in ObjectiveName]: (config: Config<O>) => void } = {
  mae: checkAutoencoder,
  simmim: checkMaskTokens,
  maskfeat: checkMaskTokens,
  beit: checkMaskTokens,
  beitv2(config) {
    checkMaskTokens(config)
    checkEarlyHead(earlyHeadOf(config), dimensionsOf(config))
  },
  crossmae: checkAutoencoder,
  data2vec: checkMaskTokens,
  ijepa(config) {
    checkDecoder(backboneOf(config), config.predictor)
    checkMultiBlocks(gridOfModel(dimensionsOf(config)), config.blocks)
  },
  vqkd(config) {
    checkCodebook(config)
    targetOf(config.target).check(backboneOf(config))
  },
  'vq-pixels'(config) {
    const { patchSize, ...model } = config.model
    convolutionalRows({
      ...{ ...model, patchSize: sidesOf(patchSize), between: config.codebook.width },
      depth: { encoder: model.depth, decoder: config.codebook.decoderDepth },
    })
    checkCodebook(config)
    if (config.adapt.kind !== 'none')
      refuse(
        `adapt.kind is ${config.adapt.kind}, and the convolutions of vq-pixels have no adapters: expected none`,
      )
  },
}

/** Codes begin from the patches of the first step. */
function checkCodebook(config: Config<'vqkd' | 'vq-pixels'>): void {
  const patches = effectiveBatch(config) * tokenCount(layoutOf(backboneOf(config)).grid)
  const { size } = config.codebook
  if (size > patches)
    refuse(
      `codebook.size is ${size}, and a step has ${patches} patches (train.batchSize × train.accumulate images), from which the codes begin: expected at most so many; set codebook.size lower or the batch larger`,
    )
}

/** The configuration if its data are rasters, else null. */
export const rastersOf = (config: Config): RasterConfig | null =>
  config.data.kind === 'rasters' ? (config as RasterConfig) : null

/** Null for images. */
export const bandsOf = ({ data }: Pick<Config, 'data'>): readonly string[] | null =>
  data.kind === 'rasters' ? data.bands : null

export const framesOf = (config: Config): number => rastersOf(config)?.model.frames ?? 1

/** Names of the bands that share a token; null if all do. */
export const bandGroupsOf = (config: Config): readonly (readonly string[])[] | null =>
  rastersOf(config)?.model.groups ?? null

/** The keys of masks, or null. */
export const masksOf = (config: Config): MaskedConfig['mask'] | null =>
  'mask' in config ? config.mask : null

/** The keys of the target, or null. */
export const targetKeysOf = (config: Config): TargetedConfig['target'] | null =>
  'target' in config ? config.target : null

/** The keys of the decoder, or null. */
export const decoderKeysOf = (config: Config): DecodedConfig['decoder'] | null =>
  'decoder' in config ? config.decoder : null

/** Throws `USAGE` for an objective without masks, which `what` needs. */
export function expectMasks(config: Config, what: string): MaskedConfig {
  if ('mask' in config) return config
  throw new SherdError(
    'USAGE',
    `${what} is for objectives that hide patches, and this is of objective ${(config as Config).objective}, which hides none.`,
  )
}

/** Which tokens are hidden; of a ratio that changes, its mean. */
export function maskDesignOf(config: MaskedConfig): MaskDesign {
  const { mask } = config
  return {
    ...randomMask(meanRatio(mask)),
    ...('groups' in mask && { groups: mask.groups, frames: mask.frames }),
    ...('perFrame' in mask && { perFrame: mask.perFrame }),
    ...(mask.kind !== 'random' && { shape: maskShapeOf(config) }),
  }
}

const DEFAULT_CELL = 2 // patches: 32 pixels of patches of 16 (SimMIM)

function maskShapeOf({ mask, model }: MaskedConfig): MaskShape {
  switch (mask.kind) {
    case 'block':
      return { kind: mask.kind, minBlock: mask.minBlock }
    case 'multi-block':
      return { kind: mask.kind, blocks: mask.blocks }
    case 'coarse': {
      const [h, w] = sidesOf(model.patchSize)
      const cell = mask.cell ?? null
      return { kind: mask.kind, cell: cell ? [cell / h, cell / w] : [DEFAULT_CELL, DEFAULT_CELL] }
    }
    case 'attention':
    case 'loss':
    case 'files':
      return { kind: 'random' } // as far as addresses decide
    default:
      return { kind: mask.kind }
  }
}

/** The size of the predictor of losses. */
export function predictorOf(
  config: MaskedConfig,
  { predictorWidth, predictorDepth, predictorHeads }: Extract<MaskedConfig['mask'], { kind: 'loss' }>,
): DecoderDimensions {
  const decoder = decoderKeysOf(config)
  const { width, heads } = decoder ?? config.model
  const of = decoder && 'groupWidth' in decoder ? decoder : rastersOf(config)?.model
  const { groupWidth = 0, timeWidth = 0 } = of ?? {}
  return {
    ...{ width: predictorWidth ?? width, depth: predictorDepth, heads: predictorHeads ?? heads },
    ...{ groupWidth, timeWidth },
  }
}

/** The target's keys if it is pixels, else null. */
export function pixelTargetOf(config: Config) {
  const target = targetKeysOf(config)
  return target?.kind === 'pixels' ? target : null
}

export function dimensionsOf({ model }: Pick<Config, 'model'>): EncoderDimensions {
  const { imageSize, channels, width, depth, heads, mlpRatio, layerNormEpsilon } = model
  const patchSize = sidesOf(model.patchSize)
  const plain = { imageSize, patchSize, channels, width, depth, heads, mlpRatio, layerNormEpsilon }
  const variant = variantOf(model)
  return Object.keys(variant).length > 0 ? { ...plain, variant } : plain
}

/** The grid that learned and relative positions are stored for. */
const positionGridOf = ({ positionGrid, imageSize, patchSize }: Config['model']): Grid =>
  positionGrid ? { h: positionGrid[0], w: positionGrid[1] } : gridOf(imageSize, sidesOf(patchSize))

/** The second head of BEiT v2. */
export const earlyHeadOf = ({ early, model }: Config<'beitv2'>): EarlyHead => ({
  ...early,
  layers: early.layers ?? usualEarlyLayers(model.depth),
})

/** What differs from a plain ViT. */
function variantOf(model: Config['model']): EncoderVariant {
  const { cls, registers, relativePositions: tables, rotaryPeriods: periods, layerScale } = model
  const { patchBias, preNorm, feedForward, activation, hidden, qkvBias, attentionPool, projection } = model
  const prefix: Prefix = [
    ...(cls ? clsPrefix : []),
    ...(registers > 0 ? [{ ...registerTokens, count: registers }] : []),
  ]
  return {
    ...((!cls || registers > 0) && { prefix }),
    ...(tables && {
      relativePositions: {
        ...{ tables, grid: positionGridOf(model) },
        ...(model.relativeResampling !== 'linear' && { resampling: model.relativeResampling }),
      },
    }),
    ...(periods && { rotaryPositions: { periods } }),
    ...(layerScale !== null && { layerScale: { initial: layerScale } }),
    ...(!patchBias && { patchBias }),
    ...(preNorm && { preNorm }),
    ...(feedForward !== 'mlp' && { feedForward }),
    ...(activation && { activation }),
    ...(hidden !== null && { hidden }),
    ...(qkvBias !== 'all' && { qkvBias }),
    ...(attentionPool && { attentionPool }),
    ...(projection !== null && { projection }),
  }
}

/** The same model for images of another size; its stored positions stay those of their own grid. Throws `CONFIG`. */
export function configAt(config: Config, imageSize: readonly [height: number, width: number]): Config {
  const { h, w } = positionGridOf(config.model)
  const hasTables = config.model.positions === 'learned' || config.model.relativePositions !== null
  return resolveConfig({
    ...config,
    ...(config.data.kind === 'images' && { data: { ...config.data, inputSize: null } }),
    model: { ...config.model, imageSize: [...imageSize], ...(hasTables && { positionGrid: [h, w] }) },
  } as ConfigInput)
}

/** The same model with fewer blocks: the first ones. Throws `CONFIG`. */
export const configOfDepth = (config: Config, depth: number): Config =>
  resolveConfig({ ...config, model: { ...config.model, depth } } as ConfigInput)

/** The same for images of one size, where each has its own: all are squashed to that of the model. */
export const atOneSize = (config: Config): Config =>
  config.data.kind === 'images' && config.data.resize === 'patches'
    ? resolveConfig({ ...config, data: { ...config.data, resize: 'squash' } } as ConfigInput)
    : config

/** Of an objective with a decoder. Throws `BUG` for another. */
export function decodedConfig(config: Config): DecodedConfig {
  if ('decoder' in config) return config
  throw new SherdError('BUG', `Bug: objective ${(config as Config).objective} has no decoder`)
}

export function decoderOf({ decoder }: DecodedConfig): AnyDecoder {
  const { groupWidth = 0, timeWidth = 0 } = 'groupWidth' in decoder ? decoder : {}
  return { ...decoder, groupWidth, timeWidth }
}

/** The released code whose decoder it is. */
export function compatOf(config: Config) {
  const decoder = decoderKeysOf(config)
  return decoder && 'compat' in decoder ? decoder.compat : null
}

export const autoencoderOf = (config: DecodedConfig): AutoencoderDimensions<AnyDecoder> => ({
  encoder: dimensionsOf(config),
  decoder: decoderOf(config),
})

/** Channel indices of a group's bands. Throws `CONFIG` for a band that data.bands lacks. */
function bandNumbers(group: readonly string[], bands: readonly string[]): number[] {
  const names = bands.map(canonicalBand)
  return group.map((band) => {
    const number = names.indexOf(canonicalBand(band))
    if (number < 0)
      throw new SherdError(
        'CONFIG',
        `model.groups has band "${band}", which is not in data.bands (${bands.join(', ')}).${didYouMean(band, bands)}`,
      )
    return number
  })
}

export function backboneOf(config: Config): BackboneShape {
  const rasters = rastersOf(config)
  const { positions, resampling, positionGrid } = config.model
  const plain = {
    ...{ ...plainBackbone(dimensionsOf(config)), positions },
    ...(positions === 'learned' && { resampling }),
    ...(positions === 'learned' && positionGrid && { learnedGrid: positionGridOf(config.model) }),
  }
  if (!rasters) return plain
  const { data, model } = rasters
  const { groupWidth, timeFields: fields, timeWidth, frames, referenceResolution } = model
  return {
    ...plain,
    groups: model.groups?.map((group) => bandNumbers(group, data.bands)) ?? null,
    ...{ frames, groupWidth, referenceResolution },
    time: fields.length > 0 ? { fields, width: timeWidth } : null,
  }
}

/** One for each group of bands in each frame. */
export function tokensPerLocation(config: Config): Required<Pick<TokenMultiples, 'perLocation' | 'groups'>> {
  const groups = bandGroupsOf(config)?.length ?? 1
  return { perLocation: framesOf(config) * groups, groups }
}

export const effectiveBatch = ({ train }: Pick<Config, 'train'>): number => train.batchSize * train.accumulate

/** Optimizer steps of the whole run, for a data set of `samples`. */
export function totalSteps(config: Pick<Config, 'train'>, samples: number): number {
  const { steps, epochs } = config.train
  return steps ?? Math.max(1, Math.ceil((epochs * samples) / effectiveBatch(config)))
}
