/**
 * Regular expressions over paths, which may come from untrusted configurations. Matched by RE2 in linear time, since JavaScript's engine can
 * backtrack exponentially; without look-around and back-references.
 */
import { RE2JS } from 're2js'
import { messageOf } from '../../errors.ts'

/** A named group of a match; positions in UTF-16 code units. */
export interface Given {
  readonly text: string
  readonly from: number
  readonly to: number
}

/** Null if the path does not match, else its groups by name. */
export type PathPattern = (path: string) => ((group: string) => Given | null) | null

export const patternKind = "a regular expression of RE2's kind, without look-around and back-references"

/** Throws a plain error for an invalid expression. */
export function compilePattern(text: string): PathPattern {
  let expression: RE2JS
  try {
    expression = RE2JS.compile(text)
  } catch (error) {
    throw new Error(messageOf(error).replace(/^error parsing regexp: /, ''), { cause: error })
  }
  const names = new Set(Object.keys(expression.namedGroups()))
  return (path) => {
    const matcher = expression.matcher(path)
    if (!matcher.find()) return null
    return (group) => {
      const from = names.has(group) ? matcher.start(group) : -1
      return from < 0 ? null : { from, to: matcher.end(group), text: path.slice(from, matcher.end(group)) }
    }
  }
}

export function isPattern(text: string): boolean {
  try {
    return Boolean(compilePattern(text))
  } catch {
    return false
  }
}
