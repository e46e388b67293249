/** Preset + overrides → a complete, checked, frozen configuration; and the values that follow from it. */
import { z } from 'zod'
import { didYouMean, messageOf, SherdError } from '../errors.ts'
import { type BackboneShape, checkBackbone, layoutOf } from '../model/backbone.ts'
import type { Dimensions } from '../model/dimensions.ts'
import type { TokenMultiples } from '../model/flops.ts'
import { sizes } from '../model/sizes.ts'
import { scaledLearningRate, type WarmupCosine } from '../optim/schedule.ts'
import { canonicalBand } from '../source/raster/band-names.ts'
import { keptTokens } from '../token/mask-design.ts'
import { type Config, type ConfigInput, configSchema } from './schema.ts'

export interface KeyDescription {
  /** A path such as `optim.baseLearningRate`. */
  readonly key: string
  /** The default as JSON. */
  readonly initial: string
  readonly meaning: string
}

/** Every key of the schema with its default and meaning. */
export function describeKeys(schema: z.ZodObject = configSchema, prefix = ''): KeyDescription[] {
  return Object.entries(schema.shape).flatMap(([name, value]) => {
    let inner = value as z.ZodType
    let initial: unknown
    while (
      inner instanceof z.ZodDefault ||
      inner instanceof z.ZodPrefault ||
      inner instanceof z.ZodOptional
    ) {
      if (inner instanceof z.ZodDefault) initial = inner.def.defaultValue
      inner = inner.unwrap() as z.ZodType
    }
    if (inner instanceof z.ZodObject) return describeKeys(inner, `${prefix}${name}.`)
    const meaning = (value as z.ZodType).description ?? ''
    return [{ key: `${prefix}${name}`, initial: JSON.stringify(initial) ?? 'derived', meaning }]
  })
}

/** Every key as a path, such as `optim.baseLearningRate`. */
export const configKeys = (): string[] => describeKeys().map(({ key }) => key)

/** The error for a key that is not in the schema: names the group's keys, or what may have been meant. */
export function unknownKey(path: string): SherdError {
  const keys = configKeys()
  const inGroup = keys.filter((key) => key.startsWith(`${path}.`))
  const groups = new Set(keys.flatMap((key) => key.split('.').slice(0, -1)))
  const hint = inGroup.length
    ? ` It is a group: ${inGroup.join(', ')}.`
    : didYouMean(path, [...keys, ...groups])
  return new SherdError(
    'CONFIG',
    `There is no configuration key "${path}".${hint} "sherd presets --keys" lists all.`,
  )
}

const MOST_SHOWN = 80
const inShort = (value: unknown): string => {
  const text = JSON.stringify(value) ?? 'undefined'
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text
}

const MOST_LINES = 20

function issueToError(error: z.ZodError, input: unknown): SherdError {
  const lines = error.issues.map((issue) => {
    const path = issue.path.join('.') || 'configuration'
    if (issue.code === 'unrecognized_keys')
      return unknownKey([...issue.path, issue.keys[0]].join('.')).message
    const given = issue.path.reduce<unknown>(
      (value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key],
      input,
    )
    return `${path}: ${issue.message}, got ${inShort(given)}`
  })
  const more = lines.length - MOST_LINES
  const shown = more > 0 ? [...lines.slice(0, MOST_LINES), `and ${more} more faults`] : lines
  return new SherdError('CONFIG', shown.join('\n'))
}

function freeze<T>(value: T): T {
  if (value && typeof value === 'object') for (const inner of Object.values(value)) freeze(inner)
  return Object.freeze(value)
}

/** Parses, fills in and checks a configuration; the result is frozen. Throws `CONFIG`. */
export function resolveConfig(input: ConfigInput): Config {
  const parsed = configSchema.safeParse(input)
  if (!parsed.success) throw issueToError(parsed.error, input)
  const { model, data } = parsed.data
  const row = sizes[model.size]
  // Parsed once more for the order of its keys, which files of weights hold: a configuration that was read must write the same.
  const config = configSchema.parse({
    ...parsed.data,
    data: { ...data, statistics: data.statistics ?? (data.bands ? 'dataset' : 'imagenet') },
    model: {
      ...model,
      imageSize: typeof model.imageSize === 'number' ? [model.imageSize, model.imageSize] : model.imageSize,
      patchSize: model.patchSize ?? row.patchSize,
      channels: model.channels ?? data.bands?.length ?? 3,
      width: model.width ?? row.width,
      depth: model.depth ?? row.depth,
      heads: model.heads ?? row.heads,
    },
  })
  try {
    checkBands(config)
    const shape = backboneOf(config)
    checkBackbone(shape)
    checkBatch(config)
    keptTokens(layoutOf(shape), config.mask)
  } catch (error) {
    throw new SherdError('CONFIG', messageOf(error), { cause: error })
  }
  return freeze(config)
}

/** Bytes of the samples of a micro-batch: more than that is a mistake, or a file that somebody has tampered with. */
const MAX_BATCH_BYTES = 2 ** 37

function checkBatch({ data, model, train }: Config): void {
  const [height, width] = model.imageSize as [number, number]
  const sample = model.frames * height * width * (model.channels ?? 3) * (data.bands ? 4 : 1)
  if (sample * train.batchSize > MAX_BATCH_BYTES)
    throw new SherdError(
      'CONFIG',
      `train.batchSize ${train.batchSize} samples of ${sample} bytes are ${Math.round((sample * train.batchSize) / 2 ** 30)} GiB: at most ${MAX_BATCH_BYTES / 2 ** 30} are supported; train.accumulate makes larger batches of small ones`,
    )
}

/** Throws when bands, groups and what goes with them do not fit together. */
function checkBands({ data, model, mask, target }: Config): void {
  const refuse = (what: string): never => {
    throw new SherdError('CONFIG', what)
  }
  const { bands } = data
  if (!bands) {
    const set = [
      model.groups && 'model.groups',
      model.frames > 1 && 'model.frames',
      model.timeFields.length > 0 && 'model.timeFields',
      model.referenceResolution !== null && 'model.referenceResolution',
    ].find(Boolean)
    if (set) refuse(`${set} is for rasters: name the bands in data.bands, too, such as ["B2","B3","B4","B8"]`)
    return
  }
  if (model.channels !== bands.length)
    refuse(`model.channels is ${model.channels}, but data.bands names ${bands.length} bands: leave it out`)
  if (data.statistics === 'imagenet')
    refuse(
      "data.statistics: ImageNet's are those of photographs; bands take those of the data set, or none given",
    )
  const names = bands.map(canonicalBand)
  const twice = names.findIndex((name, i) => names.indexOf(name) !== i)
  if (twice >= 0) refuse(`data.bands names ${bands[twice]} twice`)
  if (data.minValid < 1 - mask.ratio)
    refuse(
      `data.minValid ${data.minValid} is less than the share of tokens that are seen (1 − mask.ratio = ${Number((1 - mask.ratio).toFixed(4))}): samples could have less data than that`,
    )
  if (target.scales && data.minValid < 1)
    refuse('target.scales needs samples without gaps: set data.minValid to 1')
}

/** The model's dimensions in a resolved configuration. */
export function dimensionsOf({ model }: Config): Dimensions {
  const { imageSize, patchSize, channels, width, depth, heads, decoderWidth, decoderDepth, decoderHeads } =
    model
  const { mlpRatio, layerNormEpsilon } = model
  return {
    ...{ imageSize, patchSize, channels, width, depth, heads },
    ...{ decoderWidth, decoderDepth, decoderHeads, mlpRatio, layerNormEpsilon },
  } as Dimensions
}

/** The numbers of the bands of a group among the channels. Throws `CONFIG` for a band that data.bands does not have. */
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

/** What the tokens of a resolved configuration's model are. */
export function backboneOf(config: Config): BackboneShape {
  const { model, data } = config
  const { groupWidth, decoderGroupWidth, timeFields: fields, frames, referenceResolution, positions } = model
  return {
    dimensions: dimensionsOf(config),
    groups: model.groups?.map((group) => bandNumbers(group, data.bands ?? [])) ?? null,
    ...{ frames, groupWidth, decoderGroupWidth, referenceResolution, positions },
    time: fields.length > 0 ? { fields, width: model.timeWidth, decoderWidth: model.decoderTimeWidth } : null,
  }
}

/** Tokens of one location: one for each group of bands in each frame. */
export function tokensPerLocation({ model }: Config): Required<TokenMultiples> {
  const groups = model.groups?.length ?? 1
  return { perLocation: model.frames * groups, groups }
}

/** Samples per optimizer step. */
export const effectiveBatch = ({ train }: Config): number => train.batchSize * train.accumulate

/** Optimizer steps of the whole run over `samples` images. */
export function totalSteps(config: Config, samples: number): number {
  const { steps, epochs } = config.train
  return steps ?? Math.max(1, Math.ceil((epochs * samples) / effectiveBatch(config)))
}

/** The learning-rate schedule of the whole run. Throws `CONFIG` for a warm-up that covers it. */
export function scheduleOf(config: Config, samples: number): WarmupCosine {
  const total = totalSteps(config, samples)
  const { baseLearningRate, minLearningRate, warmupFraction, warmupSteps } = config.optim
  const warmup = warmupSteps ?? warmupFraction * total
  if (warmup >= total)
    throw new SherdError(
      'CONFIG',
      `${warmupSteps === null ? `optim.warmupFraction ${warmupFraction}` : `optim.warmupSteps ${warmupSteps}`} covers the whole run of ${total} ${total === 1 ? 'step' : 'steps'}: set less (the default is a twentieth of the run), or train longer.`,
    )
  return {
    peak: scaledLearningRate(baseLearningRate, effectiveBatch(config)),
    floor: minLearningRate,
    // A part of a step would only take the rate of the first one.
    warmupSteps: warmup < 1 ? 0 : warmup,
    totalSteps: total,
  }
}
