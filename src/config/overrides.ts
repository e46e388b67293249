/** `--set key.path=value`: a value is JSON where it parses as JSON, and text otherwise. */
import { didYouMean, SherdError } from '../errors.ts'
import { configKeys } from './resolve.ts'
import type { ConfigInput } from './schema.ts'

type Tree = { [key: string]: unknown }

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
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
  const keys = configKeys()
  if (!keys.includes(path)) {
    const group = keys.filter((key) => key.startsWith(`${path}.`))
    const hint = group.length ? ` It is a group: ${group.join(', ')}.` : didYouMean(path, keys)
    throw new SherdError(
      'CONFIG',
      `There is no configuration key "${path}".${hint} "sherd presets --keys" lists all.`,
    )
  }
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
