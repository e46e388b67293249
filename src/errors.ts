/**
 * The one error class of sherd. A message says what was expected, what came, where, and what to do; `code` is stable
 * and may be tested by callers; `cause` keeps the original error.
 */
import { distance } from 'fastest-levenshtein'

/** Stable error codes. Callers may branch on these; messages may change. */
export type ErrorCode =
  | 'BUG'
  | 'SHAPE'
  | 'VALUE'
  | 'TENSOR'
  | 'ENGINE_MISSING'
  | 'ENGINE_BUILD'
  | 'CONFIG'
  | 'PRESET_UNKNOWN'
  | 'SOURCE'
  | 'DECODE'
  | 'DATA_BROKEN'
  | 'CHECKPOINT'
  | 'RUN'
  | 'HUB'
  | 'NON_FINITE'
  | 'USAGE'
  | 'INTERRUPTED'

export class SherdError extends Error {
  override readonly name = 'SherdError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** Throws a `BUG` error when a condition that only sherd itself can break does not hold. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition)
    throw new SherdError('BUG', `Bug: ${message}. Please report it with the command that led here.`)
}

/** Where work stands when it is stopped. */
export interface Standing {
  readonly done: number
  readonly of: number
  readonly unit?: string
  /** The same request continues from there. */
  readonly continues: boolean
}

/** For work that was stopped by its signal, after it has kept what is done. */
export function interrupted({ done, of, unit = 'images', continues }: Standing): SherdError {
  const [some, all] = [done, of].map((count) => count.toLocaleString('en-US'))
  const next = continues ? '; the same command continues.' : '. Nothing is left behind.'
  return new SherdError('INTERRUPTED', `Stopped after ${some} of ${all} ${unit}${next}`)
}

/** Between two pieces of long work: signals of the system are heard, and it throws if the work is to stop. */
export async function pause(signal: AbortSignal | undefined, standing: Standing): Promise<void> {
  if (!signal) return
  await new Promise((resolve) => setImmediate(resolve))
  if (signal.aborted) throw interrupted(standing)
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The candidate that `name` is likely a slip of; undefined where none is close. */
export function closest(name: string, candidates: readonly string[]): string | undefined {
  const wanted = name.toLowerCase()
  const scored = candidates
    .map((candidate) => ({ candidate, edits: distance(wanted, candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits)
  const best = scored[0]
  return best && best.edits <= Math.max(2, Math.ceil(wanted.length * 0.4)) ? best.candidate : undefined
}

/** ` Did you mean "x"?` when one of `candidates` is close to `name`, else an empty string. */
export function didYouMean(name: string, candidates: readonly string[]): string {
  const found = closest(name, candidates)
  return found === undefined ? '' : ` Did you mean "${found}"?`
}

/** Text of a stranger's file for a message: its beginning, where it is long. */
export const brief = (text: string, most = 120): string =>
  text.length > most ? `${text.slice(0, most)}… (${text.length} characters)` : text

/** Text whose control characters are shown as `\u001b` and not obeyed, but for ends of lines and tabs. In JSON it is still JSON. */
export const escapeControls = (text: string): string =>
  // Cc: control characters; the others end lines or turn the direction of writing.
  text.replace(
    /[^\P{Cc}\n\t]|[\u2028-\u202e\u2066-\u2069]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
