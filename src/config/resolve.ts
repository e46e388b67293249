/** Preset + overrides → a complete, checked, frozen configuration; and the values that follow from it. */
import { z } from 'zod'
import { didYouMean, messageOf, SherdError } from '../errors.ts'
import { checkDimensions, type Dimensions } from '../model/dimensions.ts'
import { sizes } from '../model/sizes.ts'
import { type Schedule, scaledLearningRate } from '../optim/schedule.ts'
import { gridOf, tokenCount } from '../token/grid.ts'
import { keptCount } from '../token/mask.ts'
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
    return [{ key: `${prefix}${name}`, initial: JSON.stringify(initial) ?? 'by size', meaning }]
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

function issueToError(error: z.ZodError, input: unknown): SherdError {
  const lines = error.issues.map((issue) => {
    const path = issue.path.join('.') || 'configuration'
    if (issue.code === 'unrecognized_keys')
      return unknownKey([...issue.path, issue.keys[0]].join('.')).message
    const given = issue.path.reduce<unknown>(
      (value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key],
      input,
    )
    return `${path}: ${issue.message}, got ${JSON.stringify(given)}`
  })
  return new SherdError('CONFIG', lines.join('\n'))
}

function freeze<T>(value: T): T {
  if (value && typeof value === 'object') for (const inner of Object.values(value)) freeze(inner)
  return Object.freeze(value)
}

/** Parses, fills in and checks a configuration; the result is frozen. Throws `CONFIG`. */
export function resolveConfig(input: ConfigInput): Config {
  const parsed = configSchema.safeParse(input)
  if (!parsed.success) throw issueToError(parsed.error, input)
  const { model } = parsed.data
  const row = sizes[model.size]
  const config: Config = {
    ...parsed.data,
    model: {
      ...model,
      imageSize: typeof model.imageSize === 'number' ? [model.imageSize, model.imageSize] : model.imageSize,
      patchSize: model.patchSize ?? row.patchSize,
      width: model.width ?? row.width,
      depth: model.depth ?? row.depth,
      heads: model.heads ?? row.heads,
    },
  }
  const dimensions = dimensionsOf(config)
  try {
    checkDimensions(dimensions)
    keptCount(tokenCount(gridOf(dimensions.imageSize, dimensions.patchSize)), config.mask.ratio)
  } catch (error) {
    throw new SherdError('CONFIG', messageOf(error), { cause: error })
  }
  return freeze(config)
}

/** The model's dimensions in a resolved configuration. */
export function dimensionsOf({ model }: Config): Dimensions {
  const { size: _, ...dimensions } = model
  return dimensions as Dimensions
}

/** Samples per optimizer step. */
export const effectiveBatch = ({ train }: Config): number => train.batchSize * train.accumulate

/** Optimizer steps of the whole run over `samples` images. */
export function totalSteps(config: Config, samples: number): number {
  const { steps, epochs } = config.train
  return steps ?? Math.max(1, Math.ceil((epochs * samples) / effectiveBatch(config)))
}

/** The learning-rate schedule of the whole run. */
export function scheduleOf(config: Config, samples: number): Schedule {
  const total = totalSteps(config, samples)
  const { baseLearningRate, minLearningRate, warmupFraction, warmupSteps } = config.optim
  return {
    peak: scaledLearningRate(baseLearningRate, effectiveBatch(config)),
    floor: minLearningRate,
    warmupSteps: warmupSteps ?? warmupFraction * total,
    totalSteps: total,
  }
}
