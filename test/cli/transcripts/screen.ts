// What a user finally sees of what a command wrote to a terminal: lines that are written over, \r and the few escape codes that sherd uses.
import stringWidth from 'string-width'

const ESCAPE = String.fromCharCode(27)
const parts = new RegExp(
  `${ESCAPE}\\[[0-9;]*m|${ESCAPE}\\[K|${ESCAPE}\\[\\?25[hl]|\\r|\\n|[^\\r\\n${ESCAPE}]+`,
  'gu',
)

export interface Screen {
  /** What stays. Lines that the terminal would break are as long as they are. */
  readonly lines: readonly string[]
  /** Lines that were written over. */
  readonly passing: readonly string[]
  readonly isCursorShown: boolean
}

/** Throws for any other escape code, and for text over text. */
export function screenOf(written: string): Screen {
  if (written.replace(parts, '') !== '') throw new Error(`Unknown control: ${JSON.stringify(written)}`)
  const lines = ['']
  const passing: string[] = []
  let isAtStart = true // whether the cursor is
  let isCursorShown = true
  const last = () => lines.length - 1
  for (const [part] of written.matchAll(parts)) {
    if (part.startsWith(`${ESCAPE}[?25`)) isCursorShown = part.endsWith('h')
    else if (part === '\n') lines.push('')
    else if (part === '\r') isAtStart = true
    else if (part === `${ESCAPE}[K`) {
      if (!isAtStart) continue
      if (lines[last()]) passing.push(lines[last()]!)
      lines[last()] = ''
    } else if (!part.startsWith(ESCAPE)) {
      if (isAtStart && lines[last()] !== '') throw new Error(`Over "${lines[last()]}" came "${part}"`)
      lines[last()] += part
      isAtStart = false
    }
    if (part === '\n') isAtStart = true
  }
  return { lines: lines.map((line) => line.trimEnd()), passing, isCursorShown }
}

/** Whether a line fits: a word that cannot be broken, and a command to copy, may stick out. */
export const fits = (line: string, columns: number): boolean =>
  stringWidth(line) <= columns || !line.trim().includes(' ') || /^\s*(?:npx )?sherd /.test(line)
