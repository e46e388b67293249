/** `--set key.path=value`: values are JSON or numbers if they parse as such, else strings. */
import { SherdError } from '../errors.ts'
import { configKeys, unknownKey } from './keys.ts'
import type { ConfigInput } from './schema.ts'

type Tree = { [key: string]: unknown }

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    const number = Number(text || Number.NaN) // .5 and 1. are not JSON
    return Number.isFinite(number) ? number : text
  }
}

/** Splits `key.path=value`; the key must exist. */
function partsOf(assignment: string): { readonly path: string; readonly value: string } {
  const equals = assignment.indexOf('=')
  if (equals <= 0) {
    throw new SherdError(
      'USAGE',
      `--set expects key.path=value, got "${assignment}". Example: --set mask.ratio=0.6`,
    )
  }
  const path = assignment.slice(0, equals).trim()
  if (!configKeys().includes(path)) throw unknownKey(path)
  return { path, value: assignment.slice(equals + 1).trim() }
}

/** The keys of assignments. Throws `USAGE` or `CONFIG` for invalid ones, and for a key that is set twice. */
export function assignedKeys(assignments: readonly string[]): string[] {
  const keys = assignments.map((each) => partsOf(each).path)
  const twice = keys.find((key, i) => keys.indexOf(key) !== i)
  if (twice !== undefined)
    throw new SherdError('USAGE', `--set gives ${twice} twice: only one of them would count.`)
  return keys
}

/** A copy of `input` with one key set; the key must exist. */
export function withOverride(input: ConfigInput, assignment: string): ConfigInput {
  const { path, value } = partsOf(assignment)
  return withValue(input, path, parseValue(value))
}

/** A copy of `input` with the value at a path. */
export function withValue(input: ConfigInput, path: string, value: unknown): ConfigInput {
  const copy = structuredClone(input) as Tree
  const parts = path.split('.')
  let at = copy
  for (const part of parts.slice(0, -1)) {
    at[part] ??= {}
    at = at[part] as Tree
  }
  at[parts.at(-1)!] = value
  return copy as ConfigInput
}
