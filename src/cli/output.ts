/** Output of commands: results on standard output, progress and errors on standard error. */

import { styleText } from 'node:util'
import { escapeControls } from '../errors.ts'
import type { SkippedFile } from '../prepare/skipped.ts'

const colours = process.stderr.isTTY && !process.env.NO_COLOR

export const paint = (style: Parameters<typeof styleText>[0], text: string): string =>
  colours ? styleText(style, text) : text

// The escape sequences that paint() itself writes: bold, red, yellow and their resets.
const ESCAPE = String.fromCharCode(27)
const ownStyles = new RegExp(`(${ESCAPE}\\[(?:1|22|31|33|39)m)`)

/** Names of files, classes and pickles may contain terminal control sequences: they are escaped. */
export const visible = (text: string): string =>
  text
    .split(ownStyles)
    .map((part, i) => (i % 2 === 1 && colours ? part : escapeControls(part)))
    .join('')

export function print(line: string): void {
  process.stdout.write(`${visible(line)}\n`)
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value))
}

/** Columns two spaces apart. `alignRight`: indices of columns of numbers. */
export function table(rows: readonly (readonly string[])[], alignRight: readonly number[] = []): string {
  const shown = rows.map((row) => row.map((cell) => escapeControls(cell).replaceAll('\n', '\\n')))
  const widths = shown[0]?.map((_, column) => Math.max(...shown.map((row) => row[column]?.length ?? 0))) ?? []
  return shown
    .map((row) =>
      row
        .map((cell, column) =>
          alignRight.includes(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

const rewrites = Boolean(process.stderr.isTTY)
let openLine = false

/** A line on standard error that the next one replaces on a terminal; elsewhere only `important` ones are written. */
export function progress(line: string, important = false): void {
  if (rewrites) {
    process.stderr.write(`\r\x1b[K${visible(line).slice(0, (process.stderr.columns ?? 120) - 1)}`)
    openLine = true
    if (important) endProgress()
  } else if (important) process.stderr.write(`${visible(line)}\n`)
}

/** Ends a progress line, so that other text does not overwrite it. */
export function endProgress(): void {
  if (openLine) process.stderr.write('\n')
  openLine = false
}

/** A line on standard error that stays. */
export function note(line: string): void {
  endProgress()
  process.stderr.write(`${visible(line)}\n`)
}

export const warn = (message: string): void => note(`${paint('yellow', 'warning:')} ${message}`)

const warned = new Set<string>()

/** A warning that may be raised again, for example when a folder is reopened. */
export function warnOnce(message: string): void {
  if (!warned.has(message)) warn(message)
  warned.add(message)
}

/** `1 h 05 min`, `2 min 03 s`, `12 s`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const two = (n: number) => String(n).padStart(2, '0')
  if (whole >= 3600) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`
  if (whole >= 60) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`
  return `${whole} s`
}

/** "1 image", "2 images". */
export const many = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`

export function noteSkipped(skipped: readonly SkippedFile[]): void {
  for (const { file, reason } of skipped) note(`left out: ${file}: ${reason}`)
}
