/**
 * Regular expressions over paths that somebody else may have written. They are matched by RE2's algorithm, in time proportional to the
 * path, where JavaScript's own can go back and forth for ever; so there is no look-around and there are no back-references.
 */
import { RE2JS } from 're2js'
import { messageOf } from '../../errors.ts'

/** A named group that took part in a match; places are in UTF-16 code units. */
export interface Given {
  readonly text: string
  readonly from: number
  readonly to: number
}

/** Null where a path does not match; of a match its groups by name. */
export type PathPattern = (path: string) => ((group: string) => Given | null) | null

export const patternKind = "a regular expression of RE2's kind, without look-around and back-references"

/** Throws a plain error with the reason when it is no such expression. */
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
