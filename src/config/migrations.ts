/** Migrates configurations of earlier versions, as plain JSON: a row for each version. Also runs in browsers, which read exported files. */
import { SherdError } from '../errors.ts'

/** The current version. */
export const VERSION = 3

type Json = { [key: string]: unknown }

const isJson = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

interface Migration {
  /** Migrates to `from` + 1. */
  readonly from: number
  /** New names of old keys, also for error messages. */
  readonly renamed: Readonly<Record<string, string>>
  /** Further changes, in place, after renaming. */
  readonly change: (config: Json) => void
}

/** Keys that only rasters have since version 2. */
const ofRasters = {
  data: ['bands', 'bandNames', 'pattern', 'window', 'nodata', 'applyScale', 'clip', 'minValid'],
  model: ['frames', 'groups', 'groupWidth', 'timeFields', 'timeWidth', 'referenceResolution'],
  decoder: ['groupWidth', 'timeWidth', 'compat'],
  mask: ['groups', 'frames', 'perFrame'],
}
const ofImages = { data: ['range'] }

function remove(config: Json, keys: Readonly<Record<string, readonly string[]>>): void {
  for (const [group, names] of Object.entries(keys)) {
    const own = config[group]
    if (isJson(own)) for (const name of names) delete own[name]
  }
}

const migrations: readonly Migration[] = [
  {
    // 0.1: a single schema; files do not state a version.
    from: 1,
    renamed: {
      'model.decoderWidth': 'decoder.width',
      'model.decoderDepth': 'decoder.depth',
      'model.decoderHeads': 'decoder.heads',
      'model.decoderGroupWidth': 'decoder.groupWidth',
      'model.decoderTimeWidth': 'decoder.timeWidth',
      'model.compat': 'decoder.compat',
    },
    change(config) {
      const data = config.data ?? {}
      if (!isJson(data)) return // the schema refuses it
      const isOfRasters = (data.bands ?? null) !== null
      config.data = { ...data, kind: isOfRasters ? 'rasters' : 'images' }
      remove(config, isOfRasters ? ofImages : ofRasters)
      if (isJson(config.optim)) config.optim.optimizer = 'adamw'
    },
  },
  {
    // 0.1: all keys of masks, whatever their kind.
    from: 2,
    renamed: {},
    change({ mask }) {
      if (!isJson(mask)) return
      for (const [key, kind] of [
        ['cell', 'coarse'],
        ['minBlock', 'block'],
        ['perFrame', 'random'],
      ] as const)
        if ((mask.kind ?? 'random') !== kind) delete mask[key]
    },
  },
]

/** The current name of an old key. */
export function newNameOf(key: string): string | undefined {
  return migrations.reduce<string | undefined>((name, { renamed }) => renamed[name ?? key] ?? name, undefined)
}

function rename(config: Json, renamed: Migration['renamed']): void {
  for (const [from, to] of Object.entries(renamed)) {
    const [[oldGroup, oldName], [group, name]] = [from.split('.'), to.split('.')] as [string[], string[]]
    const old = config[oldGroup!]
    if (!isJson(old) || !Object.hasOwn(old, oldName!)) continue
    const { [oldName!]: value, ...rest } = old
    config[oldGroup!] = rest
    const own = config[group!]
    config[group!] = { ...(isJson(own) ? own : {}), [name!]: value }
  }
}

/**
 * A stored configuration in the current version, as a copy. Invalid ones are left for the schema to refuse. Throws `CONFIG` for a later
 * version.
 */
export function migrate(stored: unknown): unknown {
  if (!isJson(stored)) return stored
  const { version: said = 1, ...rest } = stored
  const isNumber = typeof said === 'number' && Number.isInteger(said) && said > 0
  if (!isNumber || said > VERSION)
    throw new SherdError(
      'CONFIG',
      `its configuration is of version ${(JSON.stringify(said) ?? typeof said).slice(0, 20)}, and this sherd reads 1 to ${VERSION}${isNumber ? ': a later sherd has written it, update with "npm install sherd@latest"' : ''}`,
    )
  if (said === VERSION) return stored
  const config = structuredClone(rest) as Json
  for (const { from, renamed, change } of migrations) {
    if (from < said) continue
    rename(config, renamed)
    change(config)
  }
  return { version: VERSION, ...config }
}
