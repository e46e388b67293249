/** The one line at the bottom of a terminal that is rewritten. Other output goes above it. */
import { isLive, type StreamName } from './terminal.ts'

const CLEAR = '\r\x1b[K'
let line: string | null = null

/** Draws or replaces the line. It must be shorter than the terminal is wide. */
export function setLiveLine(text: string): void {
  if (text === line) return
  line = text
  process.stderr.write(CLEAR + text)
}

/** Removes it. */
export function clearLiveLine(): void {
  if (line !== null) process.stderr.write(CLEAR)
  line = null
}

/** Writes other output above it. */
export function around(stream: StreamName, write: () => void): void {
  const kept = line
  const sees = kept !== null && isLive() && (stream === 'err' || process.stdout.isTTY)
  if (sees) process.stderr.write(CLEAR)
  write()
  if (sees) process.stderr.write(kept)
}
