/**
 * `--config FILE`: keys from JSON or YAML (of which JSON is a part), and how a configuration is composed: preset, file, options, `--set`,
 * each before the one to its left. A wrong value says the line that it came from.
 */
import { closeSync, fstatSync, readFileSync } from 'node:fs'
import { isMap, isScalar, LineCounter, type Pair, parseDocument } from 'yaml'
import { chosenBy, configKeys, describeKeys, unknownKey } from '../config/keys.ts'
import { migrate } from '../config/migrations.ts'
import { withOverride, withValue } from '../config/overrides.ts'
import { resolveConfig } from '../config/resolve.ts'
import type { Config, ConfigInput } from '../config/schema.ts'
import { choosers } from '../config/tables.ts'
import { messageOf, SherdError } from '../errors.ts'
import { openGiven } from '../files/regular-file.ts'

export interface ConfigFile {
  readonly path: string
  /** By key, such as `optim.baseLearningRate`. */
  readonly values: ReadonlyMap<string, unknown>
  /** The line of each key that the file writes. */
  readonly lines: ReadonlyMap<string, number>
}

// A configuration has a few kilobytes.
const MOST_BYTES = 1 << 20

function textOf(path: string): string {
  try {
    const file = openGiven(path)
    try {
      const { size } = fstatSync(file)
      if (size > MOST_BYTES)
        throw new Error(`it has ${size} bytes, and a configuration has at most a megabyte`)
      return readFileSync(file, 'utf8')
    } finally {
      closeSync(file)
    }
  } catch (error) {
    throw new SherdError('USAGE', `--config: cannot read ${path}: ${messageOf(error)}`, { cause: error })
  }
}

const MOST_FAULTS = 5

/** Reads the keys of a file. Throws `USAGE` for a file that is neither JSON nor YAML, `CONFIG` for unknown keys, with their lines. */
function readConfigFile(path: string): ConfigFile {
  const counter = new LineCounter()
  const document = parseDocument(textOf(path), { lineCounter: counter, prettyErrors: false })
  const lineAt = (offset: number) => counter.linePos(offset).line
  const [fault] = document.errors
  if (fault)
    throw new SherdError(
      'USAGE',
      `${path}:${lineAt(fault.pos[0])}: this is neither JSON nor YAML: ${fault.message.split('\n')[0]}`,
    )
  if (!isMap(document.contents))
    throw new SherdError(
      'USAGE',
      `${path}: expected keys, such as "optim: {baseLearningRate: 3e-4}" or the config.json of a run.`,
    )
  let json: unknown
  try {
    json = document.toJS({ maxAliasCount: 100 })
  } catch (error) {
    throw new SherdError('USAGE', `${path}: ${messageOf(error)}`, { cause: error })
  }
  const isStored = Object.hasOwn(json as object, 'version')
  const known = new Set(configKeys())
  const lines = new Map<string, number>()
  const unknown: string[] = []
  const visit = (pair: Pair, prefix: string): void => {
    const name = isScalar(pair.key) ? String(pair.key.value) : String(pair.key)
    const key = prefix + name
    const line = lineAt((pair.key as { range?: [number, number, number] } | null)?.range?.[0] ?? 0)
    if (prefix === '' && isMap(pair.value) && !known.has(key)) {
      for (const inner of pair.value.items) visit(inner, `${key}.`)
      return
    }
    if (lines.has(key)) throw new SherdError('CONFIG', `${path}:${line}: ${key} is given twice.`)
    lines.set(key, line)
    if (!known.has(key) && !isStored && key !== 'version')
      unknown.push(`${path}:${line}: ${unknownKey(key).message}`)
  }
  for (const pair of document.contents.items) visit(pair as Pair, '')
  if (unknown.length > 0) {
    const more = unknown.length - MOST_FAULTS
    throw new SherdError(
      'CONFIG',
      [...unknown.slice(0, MOST_FAULTS), ...(more > 0 ? [`and ${more} more`] : [])].join('\n'),
    )
  }
  return { path, values: valuesOf(isStored ? storedOf(json, path) : json), lines }
}

function storedOf(json: unknown, path: string): unknown {
  try {
    return migrate(json)
  } catch (error) {
    throw new SherdError('CONFIG', `${path}: ${messageOf(error)}`, { cause: error })
  }
}

/** Groups and dotted names alike. */
function valuesOf(json: unknown): Map<string, unknown> {
  const known = new Set(configKeys())
  return new Map(
    Object.entries(json as object).flatMap(([name, value]): [string, unknown][] => {
      if (name === 'version') return []
      const isGroup = !known.has(name) && typeof value === 'object' && value !== null
      return isGroup
        ? Object.entries(value).map(([key, inner]) => [`${name}.${key}`, inner])
        : [[name, value]]
    }),
  )
}

type Over = (input: ConfigInput) => ConfigInput

/** Values over the base: where they choose another optimizer, target … what the base says of the other one is left out. */
function chosenOver(base: ConfigInput, over: Over): ConfigInput {
  const merged = over(base)
  const read = new Set(describeKeys(chosenBy(merged)).map(({ key }) => key))
  const kept = Object.entries(base).map(([group, keys]) => [
    group,
    typeof keys === 'object'
      ? Object.fromEntries(Object.entries(keys).filter(([name]) => read.has(`${group}.${name}`)))
      : keys,
  ])
  const isEmpty = (keys: unknown) =>
    typeof keys === 'object' && keys !== null && Object.keys(keys).length === 0
  return over(Object.fromEntries(kept.filter(([, keys]) => !isEmpty(keys))) as ConfigInput)
}

const isChoice = (assignment: string) => Object.hasOwn(choosers, assignment.split('=', 1)[0]!.trim())

/** A base under a file, and both under later assignments. */
function layered(base: ConfigInput, file: ConfigFile | null, later: readonly string[]): ConfigInput {
  const values = [...(file?.values ?? [])]
  const start = file
    ? chosenOver(base, (input) => values.reduce((at, [key, value]) => withValue(at, key, value), input))
    : base
  const over: Over = (input) => later.reduce(withOverride, input)
  return later.some(isChoice) ? chosenOver(start, over) : over(start)
}

/** Adds to each line of a message the places of the file's keys that it names. */
function withPlaces(message: string, { path, lines }: ConfigFile, later: readonly string[]): string {
  const isOverridden = (key: string) => later.some((each) => each.startsWith(`${key}=`))
  return message
    .split('\n')
    .map((text) => {
      const named = [...lines].filter(
        ([key]) =>
          !isOverridden(key) && new RegExp(`(^|[^\\w.])${key.replaceAll('.', '\\.')}(?!\\w)`).test(text),
      )
      const places = named.map(([key, line]) => `${named.length > 1 ? `${key} ` : ''}${path}:${line}`)
      return places.length > 0 ? `${text} (from ${places.join(', ')})` : text
    })
    .join('\n')
}

export interface Composition {
  /** A preset's, or that of a run that continues. */
  readonly base: ConfigInput
  /** `--config`. */
  readonly file: string | undefined
  /** What other options assign, as `key.path=value`. */
  readonly options?: readonly string[]
  /** `--set`. */
  readonly set: readonly string[]
}

/** The composition before it is resolved. */
export function composedInput({ base, file, options = [], set }: Composition): ConfigInput {
  const read = file === undefined ? null : readConfigFile(file)
  const later = [...options, ...set]
  return explained(read, later, () => layered(base, read, later))
}

/** Resolved. Throws `CONFIG` with the places of wrong values. */
export function composed({ base, file, options = [], set }: Composition): Config {
  const read = file === undefined ? null : readConfigFile(file)
  const later = [...options, ...set]
  return explained(read, later, () => resolveConfig(layered(base, read, later)))
}

function explained<T>(file: ConfigFile | null, later: readonly string[], body: () => T): T {
  try {
    return body()
  } catch (error) {
    if (!file || !(error instanceof SherdError) || error.code !== 'CONFIG') throw error
    throw new SherdError('CONFIG', withPlaces(error.message, file, later), { cause: error })
  }
}
