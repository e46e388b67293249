/** How images are prepared for a model, as plain values by the names of their keys: kept with vectors, so that others are never compared with them. */
import type { ChannelStatistics } from '../prepare/normalize.ts'
import { fittingOf } from './assemble.ts'
import { dimensionsOf } from './resolve.ts'
import type { Config } from './schema.ts'

export type ImagePreparation = Readonly<Record<string, unknown>>

/** Raised whenever the same file becomes another sample by the same keys. */
const RULES = 1

export interface Preparing {
  readonly config: Config
  readonly statistics: ChannelStatistics
}

/** Only what has an effect: two equal ones make the same input of the same file. */
export function preparationOf({ config, statistics }: Preparing): ImagePreparation {
  const { data, model } = config
  const { mean, std, low = null, high = null } = statistics
  const { imageSize } = dimensionsOf(config)
  const common = { rules: RULES, imageSize: [...imageSize], mean: [...mean], std: [...std] }
  // How their files are read is a part of their source.
  if (data.kind === 'rasters')
    return { ...common, low: low && [...low], high: high && [...high], bands: [...data.bands] }
  const { resize = 'box', cropShare, cutRule, inputSize, isExact = false, budget } = fittingOf(config) ?? {}
  return {
    ...{ ...common, channels: model.channels, resize, rounding: isExact ? 'none' : 'bytes' },
    ...(resize !== 'box' && { cropShare, cutRule, inputSize: inputSize && [...inputSize] }),
    ...(budget && { maxPatches: budget.most }),
    ...{ interpolation: data.interpolation, colours: data.colours },
    ...{ fill: data.fill && [...data.fill], range: data.range },
  }
}

const shown = (value: unknown) => (value === undefined ? 'not set' : JSON.stringify(value))

/** What differs, a line each, such as `mean: [0.5,0.5,0.5] → [0,0,0]`; none where both are the same. */
export function preparationDifferences(before: ImagePreparation, now: ImagePreparation): string[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(now)])]
  return keys
    .filter((key) => shown(before[key]) !== shown(now[key]))
    .map((key) =>
      key === 'rules'
        ? `sherd's own rules of preparing images: version ${shown(before[key])} → ${shown(now[key])}`
        : `${key}: ${shown(before[key])} → ${shown(now[key])}`,
    )
}

const short = (value: unknown): string =>
  Array.isArray(value)
    ? value.map(short).join(', ')
    : typeof value === 'number'
      ? String(Number(value.toPrecision(4)))
      : String(value)

/** For people, numbers shortened, without keys that say nothing: `imageSize 42, 42; mean 0.485, 0.456, 0.406; …`. */
export const preparationLine = (preparation: ImagePreparation): string =>
  Object.entries(preparation)
    .filter(([key, value]) => key !== 'rules' && value !== null)
    .map(([key, value]) => `${key} ${short(value)}`)
    .join('; ')
