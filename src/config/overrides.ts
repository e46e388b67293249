/** `--set key.path=value`: a value is JSON or a number where it parses as one, and text otherwise. */
import { SherdError } from '../errors.ts'
import { configKeys, unknownKey } from './resolve.ts'
import type { ConfigInput } from './schema.ts'

type Tree = { [key: string]: unknown }

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    const number = Number(text || Number.NaN) // .5 and 1. are numbers to people, not to JSON
    return Number.isFinite(number) ? number : text
  }
}

/** A copy of `input` with one key set. The key must be one of the schema. */
export function withOverride(input: ConfigInput, assignment: string): ConfigInput {
  const equals = assignment.indexOf('=')
  if (equals <= 0) {
    throw new SherdError(
      'USAGE',
      `--set expects key.path=value, got "${assignment}". Example: --set mask.ratio=0.6`,
    )
  }
  const path = assignment.slice(0, equals).trim()
  if (!configKeys().includes(path)) throw unknownKey(path)
  const copy = structuredClone(input) as Tree
  const parts = path.split('.')
  let at = copy
  for (const part of parts.slice(0, -1)) {
    at[part] ??= {}
    at = at[part] as Tree
  }
  at[parts.at(-1)!] = parseValue(assignment.slice(equals + 1).trim())
  return copy as ConfigInput
}
