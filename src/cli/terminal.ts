/** Where output goes: a terminal of some width, or a file, a pipe, a log. Read at each call, since terminals are resized. */

const streams = { out: process.stdout, err: process.stderr } as const
export type StreamName = keyof typeof streams

let quiet = false

/** `--quiet`: results, warnings and errors only. */
export function setQuiet(value: boolean): void {
  quiet = value
}
export const isQuiet = (): boolean => quiet

const isSet = (value: string | undefined) => value !== undefined && value !== '' && value !== '0'

/** Continuous integration sets `CI`: its logs show escape codes as rubbish, and nobody watches them. */
const isCi = (): boolean => isSet(process.env.CI) && process.env.CI !== 'false'

const isTerminal = (name: StreamName): boolean => Boolean(streams[name].isTTY)

/** Whether lines on standard error can be rewritten. */
export const isLive = (): boolean => isTerminal('err') && !isCi() && process.env.TERM !== 'dumb'

/** Whether no one watches: nothing may wait for an answer or open a window. */
export const isUnattended = (): boolean => isCi() || !isTerminal('err') || !isTerminal('out')

/** Columns of the terminal, at least 20; null where there is none. */
export function columnsOf(name: StreamName): number | null {
  if (!isTerminal(name)) return null
  const { columns } = streams[name]
  return columns > 0 ? Math.max(20, columns) : 80
}

/** NO_COLOR (no-color.org) is obeyed first, then FORCE_COLOR. */
export function hasColours(name: StreamName): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env
  if (NO_COLOR) return false
  if (FORCE_COLOR !== undefined) return isSet(FORCE_COLOR) && FORCE_COLOR !== 'false'
  return isTerminal(name) && !isCi() && TERM !== 'dumb'
}

/** Whether the terminal draws more than ASCII. */
export const hasUnicode = (): boolean =>
  process.platform === 'win32'
    ? Boolean(process.env.WT_SESSION || process.env.TERM_PROGRAM)
    : !/^(C|POSIX)$/.test(process.env.LC_ALL || process.env.LC_CTYPE || process.env.LANG || '')
