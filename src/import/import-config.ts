/** The configuration of another program's model: what its files say between what the caller gives for it and over it. */
import { withOverride } from '../config/overrides.ts'
import { resolveConfig } from '../config/resolve.ts'
import type { Config, ConfigInput } from '../config/schema.ts'
import { expectUseful } from '../config/useless.ts'
import { SherdError } from '../errors.ts'
import { rotaryPeriods } from '../model/rotary-position.ts'
import { type Grid, gridOf, type PatchSize } from '../token/grid.ts'
import type { ForeignModel } from './foreign-model.ts'
import { expectChannels } from './import-channels.ts'

export interface ConfigOptions {
  /** Defaults for keys that the file does not state. */
  readonly base?: ConfigInput
  /** `key=value`, overriding all. */
  readonly set?: readonly string[]
  /** Whether the embedding is inflated to the channels of `base` or `set`. */
  readonly inflate?: boolean
}

type Tree = Readonly<Record<string, unknown>>

const valueAt = (input: ConfigInput, key: string): unknown =>
  key.split('.').reduce<unknown>((at, part) => (at as Tree | undefined)?.[part], input)

/** Base, then the file, then `set`. */
export function configOf(
  model: ForeignModel,
  { base = {}, set = [], inflate = false }: ConfigOptions,
): Config {
  const { config: said, open, places, rotaryBase, preparation } = model
  const wanted = set.reduce(withOverride, base)
  expectChannels(model, wanted, inflate)
  const { channels, ...dimensions } = said.model ?? {}
  const isOther = inflate && (wanted.data?.bands != null || wanted.model?.channels !== undefined)
  const merged: ConfigInput = {
    ...base,
    data: {
      ...base.data,
      ...((wanted.data?.bands ?? said.data?.bands ?? null) === null && preparation),
      ...(!isOther && said.data),
    },
    model: { ...base.model, ...dimensions, ...(!isOther && channels !== undefined && { channels }) },
    ...((base.decoder || said.decoder) && { decoder: { ...base.decoder, ...said.decoder } }),
    mask: { ...base.mask, ...said.mask },
    target: { ...base.target, ...said.target },
  }
  const given = set.reduce(withOverride, merged)
  const { width = 0, heads, imageSize = 0, patchSize = 1 } = given.model ?? {}
  const grid = gridIfWhole(pairOf(imageSize), pairOf(patchSize))
  const isOwnSize = grid === null || (grid.h === places.grid.h && grid.w === places.grid.w)
  const isStored = places.table !== null || (given.model?.relativePositions ?? null) !== null
  const isResized = String(pairOf(imageSize)) !== String(pairOf(dimensions.imageSize ?? 0))
  const input: ConfigInput = {
    ...given,
    ...(isResized && given.data?.inputSize && { data: { ...given.data, inputSize: null } }),
    model: {
      ...given.model,
      ...(isStored && !isOwnSize && { positionGrid: [places.grid.h, places.grid.w] as [number, number] }),
      ...(rotaryBase !== null &&
        heads !== undefined && { rotaryPeriods: rotaryPeriods(width / heads, rotaryBase) }),
    },
  }
  const byUser = set.reduce(withOverride, base)
  const unsaid = open.filter(({ key, atOwnSize }) => {
    if (valueAt(byUser, key) !== undefined) return false
    return atOwnSize === undefined ? valueAt(given, key) === undefined || isGuess(key) : !isOwnSize
  })
  const keys = [...new Set(unsaid.map(({ key }) => key))]
  if (keys.length > 0) throw new SherdError('USAGE', unsaidText(keys, open))
  const config = resolveConfig(input)
  expectUseful(config, set)
  return config
}

/** Keys whose value in what the file says is no statement of the file. */
const isGuess = (key: string) => key === 'model.activation' || key === 'model.layerNormEpsilon'

const pairOf = (size: number | readonly number[]): [number, number] =>
  typeof size === 'number' ? [size, size] : [size[0]!, size[1]!]

function unsaidText(keys: readonly string[], open: ForeignModel['open']): string {
  const choices = keys.flatMap((key) => {
    const options = open.find((each) => each.key === key)?.options ?? []
    return options.length === 0 ? [] : [` ${key} may be ${options.join(', ')}.`]
  })
  return `The file does not say ${keys.join(' and ')}, and its shapes do not show it: give ${keys.map((key) => `--set ${key}=…`).join(' ')}, or, where it is imported, --preset NAME.${choices.join('')}`
}

/** The grid by the configured sizes, for a file that does not show its own. */
export function gridSet(
  { set = [] }: ConfigOptions,
  patchSide: (size: [number, number]) => Grid | null,
): Grid | null {
  const input = set.filter((each) => each.startsWith('model.imageSize=')).reduce(withOverride, {})
  const size = input.model?.imageSize
  return size === undefined ? null : patchSide(typeof size === 'number' ? [size, size] : size)
}

export function gridIfWhole(size: [number, number], patchSize: PatchSize): Grid | null {
  return size.every((side, axis) => side % patchSize[axis]! === 0) ? gridOf(size, patchSize) : null
}
