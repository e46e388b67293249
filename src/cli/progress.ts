/** Progress of long work: one line that fits the terminal, or a line now and then where there is none. */
import stringWidth from 'string-width'
import { clearLiveLine, setLiveLine } from './live-line.ts'
import { complain, duration, grouped, note, threeDigits, visible } from './output.ts'
import { columnsOf, hasColours, hasUnicode, isLive, isQuiet } from './terminal.ts'

/** A piece of the line, with a form for narrow terminals. */
export type Part = string | { readonly text: string; readonly short: string }

/** Two processes may write to one log: a line is due after so many ms, however fast the work is. */
const QUIET_LINE = 30_000
const LIVE_LINE = 100

/** Milliseconds that only grow. Tests set it. */
export const clock = { now: (): number => performance.now() }

const bars = { unicode: ['█', '░'], ascii: ['#', '-'] } as const

function bar(share: number, width: number): string {
  const [full, empty] = bars[hasUnicode() ? 'unicode' : 'ascii']
  const done = Math.round(Math.min(1, Math.max(0, share)) * width)
  return full.repeat(done) + empty.repeat(width - done)
}

const percent = (share: number) => `${Math.floor(100 * Math.min(1, Math.max(0, share)))} %`

const longForm = (part: Part) => (typeof part === 'string' ? part : part.text)
const shortForm = (part: Part) => (typeof part === 'string' ? part : part.short)

const WIDE = 100 // columns with room for a long bar
const MEDIUM = 60 // and for a short one
const MAIN = 4 // parts that are shortened before they go

/**
 * The parts, most important first, with the percentage and a bar behind the second one. What does not fit into `columns` gets shorter: the last
 * parts go, then the first four take their short forms from the end on, then they go, too. Null columns: everything, without a bar.
 */
export function progressLine(parts: readonly Part[], share: number | null, columns: number | null): string {
  const width = columns === null || columns < MEDIUM ? 0 : columns < WIDE ? 10 : 20
  const line = (shown: readonly string[]) => {
    const gauge =
      share === null ? [] : [width > 0 ? `${bar(share, width)} ${percent(share)}` : percent(share)]
    return [...shown.slice(0, 2), ...gauge, ...shown.slice(2)].filter((text) => text !== '').join(' · ')
  }
  const long = parts.map(longForm)
  if (columns === null) return line(long)
  const forms = function* () {
    const main = Math.min(MAIN, parts.length)
    for (let kept = parts.length; kept >= main; kept--) yield line(long.slice(0, kept))
    for (let kept = main; kept > 0; kept--)
      for (let short = kept - 1; short >= 0; short--)
        yield line([...long.slice(0, short), ...parts.slice(short, kept).map(shortForm)])
    yield parts.slice(0, 1).map(shortForm).join('')
  }
  let last = ''
  for (const form of forms()) {
    last = form
    if (stringWidth(form) < columns) return form
  }
  return last
}

let written = Number.NEGATIVE_INFINITY

/**
 * Shows where long work stands. On a terminal the line replaces the one before; elsewhere the first is written, and one every 30 s. `important`:
 * the line stays on a terminal, and is written elsewhere.
 */
export function showProgress(
  parts: readonly Part[],
  share: number | null = null,
  { important = false }: { readonly important?: boolean } = {},
): void {
  if (isQuiet()) return
  const now = clock.now()
  if (!isLive()) {
    if (!important && now - written < QUIET_LINE) return
    written = now
    note(progressLine(parts, share, null))
    return
  }
  if (important) {
    endProgress()
    complain(progressLine(parts, share, columnsOf('err')))
    return
  }
  if (now - written < LIVE_LINE) return
  written = now
  setLiveLine(visible(progressLine(parts, share, columnsOf('err')), hasColours('err')))
}

/** Ends a line of progress: what was only live disappears, and the next work begins with a line of its own. */
export function endProgress(): void {
  clearLiveLine()
  written = Number.NEGATIVE_INFINITY
}

/** A line without numbers, for work that cannot be counted. */
export const progress = (line: string, important = false): void => showProgress([line], null, { important })

const SHORT = 2000 // ms: what took less is not worth a line

/** Parts of work that are not counted, each named when it begins. */
export function phases(): (doing: string) => void {
  const begun = clock.now()
  return (doing) => {
    if (isLive() || clock.now() - begun >= SHORT) progress(`${doing} …`)
  }
}

const WINDOW = 10_000 // ms over which the rate is taken

/**
 * Progress of work that is counted: `counting('embedding', 'images')` gives a function of how many are done, of how many. The first call may
 * begin above 0, where earlier work is continued; fractions are of a thing under way. Last parts of the line may say what that is. At the
 * end a line says how long it took.
 */
export function counting(
  doing: string,
  unit: string,
): (done: number, of: number, about?: readonly string[]) => void {
  let recent: { readonly at: number; readonly done: number }[] = []
  let first: { readonly at: number; readonly done: number } | null = null
  let isOver = false
  return (done, of, about = []) => {
    const at = clock.now()
    if (isOver || first === null || done < first.done) {
      first = { at, done }
      recent = [first]
      isOver = false
    }
    recent.push({ at, done })
    while (recent.length > 2 && at - recent[1]!.at >= WINDOW) recent.shift()
    const { at: since, done: from } = recent[0]!
    const rate = at > since ? (1000 * (done - from)) / (at - since) : 0
    const left = rate > 0 ? [`${duration((of - done) / rate)} left`, `${threeDigits(rate)} ${unit}/s`] : []
    const counted = `${grouped(Math.floor(done))} of ${grouped(of)} ${unit}`
    if (done < of) {
      if (!isLive() && at - first.at < SHORT) return
      const parts = [...left, { text: `${doing}: ${counted}`, short: counted }, ...about]
      // Without a rate the gauge stands behind the count.
      showProgress(parts, of > 0 ? done / of : null)
      return
    }
    isOver = true
    endProgress()
    const seconds = (at - first.at) / 1000
    if (1000 * seconds < SHORT) return
    const now = done - first.done
    const all = `${grouped(done)} ${unit}${first.done > 0 ? `, ${grouped(now)} of them now,` : ''}`
    note(`${doing}: ${all} in ${duration(seconds)} (${threeDigits(now / seconds)} ${unit}/s)`)
  }
}
