/**
 * Configurations that earlier versions have written, brought to this one, on plain JSON: a row for each version. Nothing here needs a
 * package: the browser reads exported files, too.
 */
import { SherdError } from '../errors.ts'

/** Of the configurations that are written now. */
export const VERSION = 2

type Json = { [key: string]: unknown }

const isJson = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

interface Migration {
  /** The version of what it returns is one more. */
  readonly from: number
  /** Old keys and their new names, which the errors for old keys say, too. */
  readonly renamed: Readonly<Record<string, string>>
  /** What else changes, after that; the argument is a copy. */
  readonly change: (config: Json) => void
}

/** Only rasters have them since version 2. */
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
    // 0.1: one schema for everything; files say no version.
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
      if (!isJson(data)) return // for the schema to refuse
      const isOfRasters = (data.bands ?? null) !== null
      config.data = { ...data, kind: isOfRasters ? 'rasters' : 'images' }
      remove(config, isOfRasters ? ofImages : ofRasters)
      if (isJson(config.optim)) config.optim.optimizer = 'adamw'
    },
  },
]

/** The name that an old key has now. */
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
 * A stored configuration as this version writes it; the argument stays as it is. What is none is left for the schema to refuse. Throws
 * `CONFIG` for one of a later version.
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
