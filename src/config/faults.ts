/** What is wrong with a configuration, a line for each fault. */
import type { z } from 'zod'
import { didYouMean, SherdError } from '../errors.ts'
import { isTree, whyNotRead } from './keys.ts'
import type { Chosen } from './parts.ts'

const MOST_SHOWN = 80
export const inShort = (value: unknown): string => {
  const text = JSON.stringify(value) ?? 'undefined'
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text
}

const MOST_LINES = 20

/** All keys below an unknown path, so that an unread group is refused key by key. */
function keysBelow(input: unknown, path: readonly PropertyKey[]): string[] {
  const value = valueAt(input, path)
  const names = path.length === 1 && isTree(value) ? Object.keys(value) : []
  return names.length > 0 ? names.map((name) => `${path[0]!.toString()}.${name}`) : [path.join('.')]
}

const valueAt = (input: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined | null)?.[key], input)

type Issue = z.core.$ZodIssue extends infer I
  ? I extends unknown
    ? Omit<I, 'path' | 'message'>
    : never
  : never

/** Such as `expected a number < 1`; null where it is no number that is too large or too small. */
function boundOf(issue: Issue): string | null {
  if (issue.code !== 'too_big' && issue.code !== 'too_small') return null
  if (issue.origin !== 'number' && issue.origin !== 'int') return null
  const [sign, bound] =
    issue.code === 'too_big'
      ? [issue.inclusive ? '≤' : '<', issue.maximum]
      : [issue.inclusive ? '≥' : '>', issue.minimum]
  return `expected a ${issue.origin === 'int' ? 'whole number' : 'number'} ${sign} ${bound}`
}

/** A line for a wrong value. Zod's own words for missing values and for choices name types, and no way out. */
function faultOf({ path, message, ...issue }: z.core.$ZodIssue, value: unknown): string {
  const key = path.join('.') || 'configuration'
  const isChoice = issue.code === 'invalid_value' && message.startsWith('Invalid option')
  const choices = isChoice ? issue.values.map(String) : null
  const said = boundOf(issue) ?? message.replace(/^Invalid input: /, '')
  const expected = choices ? `expected ${choices.join(' or ')}` : said
  if (value === undefined)
    return `${key}: ${expected.replace(/, received undefined$/, '')}, and it is not set`
  const isPercent =
    issue.code === 'too_big' && issue.maximum === 1 && typeof value === 'number' && value > 1 && value <= 100
  if (isPercent) return `${key}: ${expected}, got ${value} (${value} % is ${value / 100})`
  const hint = choices && typeof value === 'string' ? didYouMean(value, choices) : ''
  return `${key}: ${expected}, got ${inShort(value)}${hint && `.${hint}`}`
}

/** An error `CONFIG` of everything that parsing has found. */
export function faultsOf({ issues }: z.ZodError, input: unknown, chosen: Chosen): SherdError {
  const notRead = issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.flatMap((key) => keysBelow(input, [...issue.path, key]))
      : [],
  )
  const wrong = issues
    .filter(({ code }) => code !== 'unrecognized_keys')
    .map((issue) => faultOf(issue, valueAt(input, issue.path)))
  const lines = [...wrong, ...whyNotRead(notRead, chosen)]
  const more = lines.length - MOST_LINES
  const shown = more > 0 ? [...lines.slice(0, MOST_LINES), `and ${more} more faults`] : lines
  return new SherdError('CONFIG', shown.join('\n'))
}
