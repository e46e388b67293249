/**
 * What other programs say about preparing images: `preprocessor_config.json` of transformers, `pretrained_cfg` of timm, `preprocess_cfg` of
 * OpenCLIP; and what authors did whose files say nothing.
 */
import { z } from 'zod'
import type { ConfigInput } from '../config/schema.ts'
import { brief, SherdError } from '../errors.ts'
import { scaledSide } from '../prepare/fit.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import {
  doneSteps,
  knownStatistics,
  type Processor,
  processorOfModel,
  processors,
} from './image-processors.ts'

const numbers = z.array(z.number()).min(1)
const perChannel = z.union([numbers, z.number()])
const preprocessorSchema = z.object({
  image_processor_type: z.string().optional(),
  feature_extractor_type: z.string().optional(),
  image_mean: perChannel.nullish(),
  image_std: perChannel.nullish(),
  do_normalize: z.boolean().nullish(),
  do_rescale: z.boolean().nullish(),
  rescale_factor: z.number().positive().nullish(),
  rescale_offset: z.boolean().nullish(),
  do_flip_channel_order: z.boolean().nullish(),
})

/** Throws `CHECKPOINT`. */
export function parsed<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new SherdError('CHECKPOINT', `${what}: ${z.prettifyError(result.error)}`)
}

export function statisticsFrom(
  mean: number[] | undefined,
  std: number[] | undefined,
): ChannelStatistics | null {
  if (!mean || !std || mean.length !== std.length) return null
  if (!std.every((value) => value > 0))
    throw new SherdError('CHECKPOINT', `it divides images by ${std.join(', ')}: deviations are above 0`)
  return { mean, std }
}

/** transformers' default mean and std of ViT. */
const HALF = [0.5, 0.5, 0.5]
const ofViT = /^ViT(?:Image|Feature)/

/** An image processor of transformers computes (x · factor − mean) / std, with optional steps; converted to (x / 255 − mean) / std. */
function processed(json: unknown, what: string): ChannelStatistics | null {
  const given = parsed(preprocessorSchema, json ?? {}, what)
  if (given.rescale_offset || given.do_flip_channel_order)
    throw new SherdError(
      'CHECKPOINT',
      `${what}: ${given.rescale_offset ? 'rescale_offset' : 'do_flip_channel_order'} is not done here: give --statistics, or images as the model takes them`,
    )
  const isOfViT = ofViT.test(given.image_processor_type ?? given.feature_extractor_type ?? '')
  const listOf = (value: number | number[] | null | undefined) =>
    typeof value === 'number' ? [value, value, value] : (value ?? (isOfViT ? HALF : undefined))
  const channels = listOf(given.image_mean)?.length ?? 3
  const isNormalised = given.do_normalize ?? true
  const own = isNormalised
    ? statisticsFrom(listOf(given.image_mean), listOf(given.image_std))
    : { mean: Array(channels).fill(0), std: Array(channels).fill(1) }
  const factor = (given.do_rescale ?? true) ? 255 * (given.rescale_factor ?? 1 / 255) : 255
  if (!own || Math.abs(factor - 1) < 1e-9) return own
  return { mean: own.mean.map((value) => value / factor), std: own.std.map((value) => value / factor) }
}

/** Statistics from a `preprocessor_config.json`, a `run.json` or an object of mean and std. */
export function statisticsOf(json: unknown, what: string): ChannelStatistics | null {
  const limits = z.array(z.number().nullable()).optional()
  const own = z.object({ mean: numbers, std: numbers, low: limits, high: limits })
  for (const value of [json, (json as { statistics?: unknown } | null)?.statistics]) {
    const found = own.safeParse(value)
    if (found.success) return { ...found.data, ...statisticsFrom(found.data.mean, found.data.std) }
  }
  return processed(json, what)
}

/** How images are prepared for a model of another program. */
export interface Preparation {
  /** Null where nothing says it. */
  readonly statistics: ChannelStatistics | null
  /** Keys of `data`; none where nothing says them. */
  readonly data: PreparationKeys
  /** [H, W] that images are brought to, where it is said. */
  readonly imageSize: readonly [number, number] | null
  readonly notes: readonly string[]
}

type PreparationKeys = Pick<
  NonNullable<ConfigInput['data']>,
  'resize' | 'maxPatches' | 'cropShare' | 'cutRule' | 'interpolation' | 'fill' | 'rounding' | 'colours'
>

interface Described {
  readonly path: string
  readonly config: Readonly<Record<string, unknown>> | null
  readonly preprocessor: Readonly<Record<string, unknown>> | null
  readonly openClip?: Readonly<Record<string, unknown>> | null
}

const notDone = (what: string, step: string): never => {
  throw new SherdError(
    'CHECKPOINT',
    `${what}: ${step} is not done here. Prepare images so yourself, and say with --set data.mean=… data.std=… what they are normalised by, without this file.`,
  )
}

/** Not what every object has, such as `constructor`. */
const ownOf = <T>(table: Readonly<Record<string, T>>, key: string | number): T | undefined =>
  Object.hasOwn(table, key) ? table[key] : undefined

/** The share of which ⌊side / share⌋ is `resized`, whatever rounding makes of the quotient. */
export function shareOf(side: number, resized: number): number {
  const share = side / resized
  return scaledSide(side, share) === resized ? share : share * (1 - Number.EPSILON)
}

const interpolationOf = (name: string | number, what: string) => {
  const names: Record<string, 'bicubic' | 'bilinear'> = {
    2: 'bilinear',
    3: 'bicubic',
    bilinear: 'bilinear',
    bicubic: 'bicubic',
  }
  return ownOf(names, name) ?? notDone(what, `resampling "${brief(`${name}`)}"`)
}

const side = z.int().positive().max(16_384)
const sideOrSides = z.union([
  side,
  z.object({ height: side, width: side }),
  z.object({ shortest_edge: side }).strict(),
])
const processorSchema = z.looseObject({
  image_processor_type: z.string().optional(),
  feature_extractor_type: z.string().optional(),
  size: z.unknown().optional(),
  crop_size: z.unknown().optional(),
  resample: z.union([z.int(), z.string()]).nullish(),
  do_resize: z.boolean().nullish(),
  do_center_crop: z.boolean().nullish(),
  max_num_patches: side.optional(),
  patch_size: side.optional(),
})

/** Height and width, or the length of the shorter side. */
type Resized = readonly [number, number] | number

function sizeIn(given: unknown, usual: number, isSquare: boolean, what: string): Resized {
  const found = sideOrSides.safeParse(given ?? usual)
  if (!found.success) return notDone(what, `resizing to ${brief(JSON.stringify(given))}`)
  const size = found.data
  if (typeof size === 'number') return isSquare ? [size, size] : size
  return 'shortest_edge' in size ? size.shortest_edge : [size.height, size.width]
}

const textOf = (value: Resized) => (typeof value === 'number' ? `${value}` : value.join(' × '))

/** Of `preprocessor_config.json`. A size that it leaves out is not the model's. */
function byProcessor(json: unknown, model: unknown, what: string): Preparation {
  const made = processorSteps(json, model, what)
  const { size = null, crop_size = null, max_num_patches = null } = json as Record<string, unknown>
  return size === null && crop_size === null && max_num_patches === null ? { ...made, imageSize: null } : made
}

function processorSteps(json: unknown, model: unknown, what: string): Preparation {
  const given = parsed(processorSchema, json, what)
  const type = given.image_processor_type ?? given.feature_extractor_type
  const name =
    type?.replace(/(?:ImageProcessor(?:Fast|Pil)?|FeatureExtractor)$/, '') ??
    ownOf(processorOfModel, String(model))
  const processor: Processor | undefined = ownOf(processors, name ?? '')
  if (!processor)
    return notDone(
      what,
      type ? `the processor ${brief(type)}` : `what it does not name (image_processor_type)`,
    )
  const steps = Object.entries(given).filter(([key, value]) => /^do_/.test(key) && value === true)
  const step = steps.find(([key]) => !doneSteps.includes(key))
  if (step) notDone(what, step[0])
  if (given.do_resize === false) notDone(what, 'leaving images at their size (do_resize false)')
  const usual = knownStatistics[processor.statistics]
  const statistics = processed({ image_mean: usual.mean, image_std: usual.std, ...withoutNull(json) }, what)
  const interpolation = interpolationOf(given.resample ?? processor.resample, what)
  const common = {
    ...{ interpolation, colours: 'stored' as const, cutRule: 'before' as const },
    ...(processor.isExact && { rounding: 'none' as const }),
  }
  if (processor.isOfPatches) {
    const { patch_size: patch = 16, max_num_patches: most = 256 } = given
    const length = Math.floor(Math.sqrt(most)) * patch
    const note = `images keep their shape, as by its processor: each is resized to at most ${most} patches of ${patch} × ${patch} pixels (data.maxPatches), unless --image-size gives one size for all`
    const data = { ...common, resize: 'patches' as const, maxPatches: most }
    return { statistics, data, imageSize: [length, length], notes: [note] }
  }
  const size = sizeIn(given.size, processor.size, processor.isSquare, what)
  const crop =
    (given.do_center_crop ?? processor.cropSize !== null)
      ? sizeIn(given.crop_size, processor.cropSize ?? processor.size, true, what)
      : null
  if (typeof size !== 'number') {
    const imageSize = Array.isArray(crop) ? (crop as unknown as readonly [number, number]) : size
    const [row, column] = [0, 1].map((axis) => shareOf(imageSize[axis]!, size[axis]!)) as [number, number]
    if (row > 1 || column > 1 || scaledSide(imageSize[1], row) !== size[1])
      return notDone(what, `cutting ${textOf(imageSize)} out of ${textOf(size)}`)
    const data = { ...common, resize: 'squash' as const, cropShare: row }
    return { statistics, data, imageSize, notes: [] }
  }
  if (crop === null) return notDone(what, `resizing the shorter side to ${size} without a crop`)
  const imageSize = typeof crop === 'number' ? ([crop, crop] as const) : crop
  if (imageSize[0] !== imageSize[1] || imageSize[0] > size)
    return notDone(what, `cutting ${textOf(imageSize)} out of images whose shorter side is ${size}`)
  const data = { ...common, resize: 'shortest' as const, cropShare: shareOf(imageSize[0], size) }
  return { statistics, data, imageSize, notes: [] }
}

const withoutNull = (json: unknown) =>
  Object.fromEntries(Object.entries(json as object).filter(([, value]) => value !== null))

const ofTimm = z.object({
  mean: numbers.optional(),
  std: numbers.optional(),
  interpolation: z.string().nullish(),
  crop_pct: z.number().positive().max(1).nullish(),
  crop_mode: z.string().nullish(),
})

const timmModes: Readonly<Record<string, 'shortest' | 'squash' | 'longest'>> = {
  ...{ center: 'shortest', squash: 'squash', border: 'longest' },
}

/** Of timm's `pretrained_cfg`, with timm's defaults. */
function byTimm(json: unknown, what: string): Preparation {
  const given = parsed(ofTimm, json, what)
  const resize =
    ownOf(timmModes, given.crop_mode ?? 'center') ??
    notDone(what, `crop_mode "${brief(`${given.crop_mode}`)}"`)
  const statistics = statisticsFrom(given.mean, given.std)
  const fill = statistics?.mean.map((mean) => Math.round(255 * mean)) ?? null
  const data: PreparationKeys = {
    ...{ resize, cropShare: given.crop_pct ?? 0.875, cutRule: 'even', colours: 'stored' },
    interpolation: interpolationOf(given.interpolation ?? 'bicubic', what),
    ...(resize === 'longest' && { fill }),
  }
  return { statistics, data, imageSize: null, notes: [] } // `model_args` goes before `input_size`
}

const ofOpenClip = z.object({
  mean: numbers.optional(),
  std: numbers.optional(),
  interpolation: z.string().optional(),
  resize_mode: z.enum(['shortest', 'longest', 'squash']).optional(),
  fill_color: z.union([z.int(), z.array(z.int())]).optional(),
})

/** Of OpenCLIP's `preprocess_cfg`, with OpenCLIP's defaults. */
function byOpenClip(json: unknown, what: string): Preparation {
  const given = parsed(ofOpenClip, json, what)
  const { mean, std } = knownStatistics.clip
  const resize = given.resize_mode ?? 'shortest'
  const fill = typeof given.fill_color === 'number' ? Array(3).fill(given.fill_color) : given.fill_color
  const data: PreparationKeys = {
    ...{ resize, cropShare: 1, cutRule: 'even', colours: 'resized' },
    interpolation: interpolationOf(given.interpolation ?? 'bicubic', what),
    ...(resize === 'longest' && fill && { fill }),
  }
  return {
    statistics: statisticsFrom(given.mean ?? mean, given.std ?? std),
    data,
    imageSize: null,
    notes: [],
  }
}

const cutAt = (cropShare: number, interpolation: 'bicubic' | 'bilinear' = 'bicubic'): PreparationKeys => ({
  ...{ resize: 'shortest', cropShare, cutRule: 'even', interpolation, colours: 'stored' },
})

/** What the authors of a family evaluate with, for files that say nothing. */
const byAuthors: Readonly<
  Record<string, { readonly data: PreparationKeys; readonly statistics: keyof typeof knownStatistics }>
> = {
  dino: { data: cutAt(0.875), statistics: 'imagenet' },
  ibot: { data: cutAt(0.875), statistics: 'imagenet' },
  mae: { data: cutAt(0.875), statistics: 'imagenet' },
  msn: { data: cutAt(0.875), statistics: 'imagenet' },
  ijepa: { data: cutAt(0.875), statistics: 'imagenet' },
  dinov2: { data: cutAt(0.875), statistics: 'imagenet' },
  dinov3: { data: { ...cutAt(1, 'bilinear'), resize: 'squash' }, statistics: 'imagenet' },
  clip: { data: { ...cutAt(1), colours: 'resized' }, statistics: 'clip' },
  siglip: { data: { ...cutAt(1), resize: 'squash' }, statistics: 'half' },
}

/** Keys of `data` that sherd has written where no words of the other library say them. */
const writtenBySherd = z.object({ preparation: z.record(z.string(), z.unknown()) })

/** What the files beside weights say, else what the family's authors did. Throws `CHECKPOINT` for what is not done here. */
export function preprocessingOf(described: Described, family: string | null = null): Preparation {
  const said = saidIn(described, family)
  const written = writtenBySherd.safeParse(described.config?.sherd)
  return written.success ? { ...said, data: written.data.preparation as PreparationKeys } : said
}

function saidIn(
  { path, config, preprocessor, openClip = null }: Described,
  family: string | null,
): Preparation {
  if (openClip?.preprocess_cfg) return byOpenClip(openClip.preprocess_cfg, `${path}, preprocess_cfg`)
  const timm = (config?.pretrained_cfg ?? config ?? {}) as object // before timm 0.9 at the root
  if ('mean' in timm && 'std' in timm) return byTimm(timm, `${path}, pretrained_cfg`)
  if (preprocessor) return byProcessor(preprocessor, config?.model_type, `${path}, preprocessor_config.json`)
  const authors = byAuthors[family ?? '']
  if (!authors) return { statistics: null, data: {}, imageSize: null, notes: [] }
  const { mean, std } = knownStatistics[authors.statistics]
  const note = `the file does not say how images were prepared: taken as the authors of ${family} evaluate, ${authors.data.resize} ${authors.data.cropShare}, ${authors.data.interpolation}, mean ${mean.join(', ')}, deviation ${std.join(', ')}`
  return { statistics: { mean, std }, data: authors.data, imageSize: null, notes: [note] }
}
