/** Options that several commands share, and parsers of their values. */
import { InvalidArgumentError, Option } from 'commander'
import { messageOf } from '../errors.ts'
import { type FeatureName, featureChoices, parseFeature } from '../token/feature.ts'

export const wholeNumber =
  (least: number) =>
  (text: string): number => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < least || !Number.isSafeInteger(value)) {
      throw new InvalidArgumentError(`Expected a whole number of at least ${least}.`)
    }
    return value
  }

export function positiveNumber(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value > 0) || !Number.isFinite(value))
    throw new InvalidArgumentError('Expected a positive number.')
  return value
}

export function notNegative(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value >= 0) || !Number.isFinite(value))
    throw new InvalidArgumentError('Expected a number of at least 0.')
  return value
}

/** A number in [0, 1]. */
export function share(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value >= 0 && value <= 1))
    throw new InvalidArgumentError('Expected a number from 0 to 1.')
  return value
}

/** A number of pixels: `50000000` or `50M`. */
export function pixels(text: string): number {
  const [, number, isMega] = text.match(/^(\d+(?:\.\d+)?)(M?)$/i) ?? []
  const value = Number(number) * (isMega ? 1e6 : 1)
  if (!(value >= 1) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('Expected a number of pixels, such as 50000000 or 50M.')
  return value
}

/** Parser of options that may be repeated. */
export const collected = (value: string, before: string[]): string[] => [...before, value]

export const setOption = (description: string): Option =>
  new Option('--set <key=value>', description).argParser(collected).default([], 'none')

export const configOption = (): Option =>
  new Option(
    '--config <file>',
    'JSON or YAML file of configuration keys, such as the config.json of a run; --set overrides it',
  )

export function portNumber(text: string): number {
  const value = wholeNumber(0)(text)
  if (value > 65535) throw new InvalidArgumentError('Expected a port from 0 to 65535.')
  return value
}

export const ending =
  (wanted: string) =>
  (path: string): string => {
    if (!path.toLowerCase().endsWith(wanted))
      throw new InvalidArgumentError(`Expected a name that ends in ${wanted}.`)
    return path
  }

/** Two ascending 16-bit numbers: `0,4095`. */
export function depthRange(text: string): [number, number] {
  const [low, high, ...more] = text.split(',').map((part) => (/^\d+$/.test(part) ? Number(part) : Number.NaN))
  if (!(low! < high! && high! <= 65_535) || more.length > 0)
    throw new InvalidArgumentError('Expected two ascending whole numbers up to 65535, such as 0,4095.')
  return [low!, high!]
}

/** A list such as `10,20`, each parsed by `one`. */
export const listOf =
  <T>(one: (text: string) => T) =>
  (text: string): T[] => {
    const values = text.split(',').map((part) => one(part.trim()))
    if (new Set(values.map((value) => JSON.stringify(value))).size !== values.length)
      throw new InvalidArgumentError('Expected a list without repetitions.')
    return values
  }

export function feature(text: string): FeatureName {
  try {
    return parseFeature(text.trim())
  } catch (error) {
    throw new InvalidArgumentError(messageOf(error))
  }
}

/** `what` it is of, and what holds without it. */
export const poolOption = (
  what: string,
  without: string,
  parse: (text: string) => unknown = feature,
): Option =>
  new Option('--pool <feature>', `${what}: ${featureChoices} (default: ${without})`).argParser(parse)

/** `224` is a square, `224x448` a height and a width. */
export function imageSize(text: string): [height: number, width: number] {
  const [, height, width = height] = text.match(/^(\d{1,5})(?:[x×](\d{1,5}))?$/i) ?? []
  if (!(Number(height) >= 1 && Number(width) >= 1))
    throw new InvalidArgumentError('Expected pixels: one side, or HEIGHTxWIDTH, such as 224 or 224x448.')
  return [Number(height), Number(width)]
}

export const imageSizeOption = (): Option =>
  new Option(
    '--image-size <pixels>',
    "of images, one side or HEIGHTxWIDTH, where it is not the model's: positions follow by its own rule",
  ).argParser(imageSize)

export const deviceOption = () =>
  new Option('--device <device>', 'where to compute').choices(['auto', 'cpu', 'cuda']).default('auto')

export const precisionOption = () =>
  new Option('--precision <type>', 'type of matrix products')
    .choices(['auto', 'fp32', 'bf16'])
    .default('auto')

/** For commands that apply a model; `precisionOption` is for training. */
export const featurePrecisionOption = (usual = 'fp32') =>
  new Option('--precision <type>', `type of matrix products (default: ${usual})`).choices(['fp32', 'bf16'])
