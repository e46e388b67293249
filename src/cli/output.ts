/** Output of commands: results on standard output, progress and errors on standard error. */

import { stripVTControlCharacters, styleText } from 'node:util'
import stringWidth from 'string-width'
import wrapAnsi from 'wrap-ansi'
import { escapeControls } from '../errors.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import type { JsonLine } from './json/kinds.ts'
import { around } from './live-line.ts'
import { asTyped } from './own-name.ts'
import { columnsOf, hasColours, isQuiet, type StreamName } from './terminal.ts'

// The escape sequences that paint() itself writes: bold, dim, colours and their resets.
const ESCAPE = String.fromCharCode(27)
const ownStyles = new RegExp(`(${ESCAPE}\\[(?:1|2|22|31|32|33|39)m)`)

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow'

/** Marks text; the marks are dropped where it is written without colours. */
export const paint = (style: Style, text: string): string => styleText(style, text, { validateStream: false })

/** Names of files, classes and pickles may contain terminal control sequences: they are escaped. Own styles are kept or dropped. */
export const visible = (text: string, colours = false): string =>
  text
    .split(ownStyles)
    .map((part, i) => (i % 2 === 0 ? escapeControls(part) : colours ? part : ''))
    .join('')

/** A command to copy on a line of its own: it is never broken. */
const isCommand = (line: string): boolean => /^ +(?:npx )?sherd [a-z]/.test(line)

/** Breaks long lines between words, under their own beginnings. Words are never broken, so a path may stick out. */
export function wrapped(text: string, columns: number): string {
  return text
    .split('\n')
    .map((line) => {
      if (stringWidth(line) <= columns || isCommand(line)) return line
      const indent = ' '.repeat(Math.min(line.match(/^ */)![0].length, columns >> 1))
      const words = wrapAnsi(line.trim(), columns - indent.length, { hard: false })
      return words.replaceAll(/^/gm, indent)
    })
    .join('\n')
}

function write(name: StreamName, text: string, isWrapped = true): void {
  const columns = columnsOf(name)
  const shown = visible(text, hasColours(name))
  const line = columns === null || !isWrapped ? shown : wrapped(shown, columns)
  around(name, () => process[name === 'out' ? 'stdout' : 'stderr'].write(`${line}\n`))
}

/** A line of the result. */
export const print = (line: string): void => write('out', line)

/** A command to copy, which is never broken into lines. */
export const printCommand = (command: string): void => write('out', command, false)

/** A line of `--json`. The kinds and their fields are in json/kinds.ts. */
export const printJson = (value: JsonLine): void => write('out', JSON.stringify(value), false)

/** A JSON document over several lines. */
export const printDocument = (value: unknown): void => write('out', JSON.stringify(value, null, 2), false)

/** A line on standard error that stays; not with `--quiet`. */
export function note(line: string): void {
  if (!isQuiet()) write('err', line)
}

/** As `note`, with `--quiet` too. */
export const complain = (line: string): void => write('err', line)

export const warn = (message: string): void => complain(`${paint('yellow', 'warning:')} ${asTyped(message)}`)

const warned = new Set<string>()

/** A warning that may be raised again, for example when a folder is reopened. */
export function warnOnce(message: string): void {
  if (!warned.has(message)) warn(message)
  warned.add(message)
}

export interface TableOptions {
  /** Columns of standard output, unless given. */
  readonly columns?: number | null
  /** The first row has the names of the columns. */
  readonly header?: boolean
}

const LEAST_TEXT = 16 // columns in which wrapped text is still readable

/**
 * Columns two spaces apart. `alignRight`: indices of columns of numbers. Where that is too wide, the widest column of text is wrapped; where
 * that is not enough, each row becomes a block: its first cell, and the others below it.
 */
export function table(
  rows: readonly (readonly string[])[],
  alignRight: readonly number[] = [],
  { columns = columnsOf('out'), header = false }: TableOptions = {},
): string {
  // Own styles of cells are kept: `visible` drops them where there are no colours.
  const shown = rows.map((row) => row.map((cell) => visible(cell, true).replaceAll('\n', '\\n')))
  const widths =
    shown[0]?.map((_, column) => Math.max(...shown.map((row) => stringWidth(row[column] ?? '')))) ?? []
  const excess = columns === null ? 0 : widths.reduce((sum, w) => sum + w + 2, -2) - columns
  if (excess > 0) {
    const isText = (column: number) => !alignRight.includes(column)
    const widest = widths.indexOf(Math.max(0, ...widths.filter((_, column) => isText(column))))
    const left = (widths[widest] ?? 0) - excess
    const words = Math.max(
      ...shown.map((row) => Math.max(...(row[widest] ?? '').split(' ').map((word) => stringWidth(word)))),
    )
    if (left < Math.max(LEAST_TEXT, words)) return blocks(shown, columns!, header)
    widths[widest] = left
  }
  return shown.map((row) => lineOf(row, widths, alignRight)).join('\n')
}

/** A row of cells, the lines of one that is wrapped under each other. */
function lineOf(row: readonly string[], widths: readonly number[], alignRight: readonly number[]): string {
  const cells = row.map((cell, i) =>
    stringWidth(cell) <= widths[i]! ? [cell] : wrapAnsi(cell, widths[i]!).split('\n'),
  )
  const height = Math.max(1, ...cells.map((lines) => lines.length))
  return Array.from({ length: height }, (_, y) =>
    cells
      .map((lines, i) => {
        const text = lines[y] ?? ''
        const space = ' '.repeat(Math.max(0, widths[i]! - stringWidth(text)))
        return alignRight.includes(i) ? space + text : text + space
      })
      .join('  ')
      .trimEnd(),
  ).join('\n')
}

function blocks(rows: readonly (readonly string[])[], columns: number, header: boolean): string {
  const names = header ? rows[0]! : []
  return rows
    .slice(header ? 1 : 0)
    .map(([first = '', ...others]) =>
      [
        first.trim(),
        ...others.flatMap((cell, i) => {
          const name = names[i + 1]?.trim()
          return cell.trim() === '' ? [] : [`  ${name ? `${name}: ` : ''}${cell.trim()}`]
        }),
      ].join('\n'),
    )
    .map((block) => wrapped(block, columns))
    .join('\n')
}

/** `1 h 05 min`, `2 min 03 s`, `12 s`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const two = (n: number) => String(n).padStart(2, '0')
  if (whole >= 3600)
    return `${grouped(Math.floor(whole / 3600))} h ${two(Math.floor((whole % 3600) / 60))} min`
  if (whole >= 60) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`
  return `${whole} s`
}

/** `12,345`. */
export const grouped = (n: number): string => n.toLocaleString('en-US')

/** Three digits: `0.31`, `4.2`, `41`, `1,230`. */
export const threeDigits = (n: number): string =>
  n >= 100 ? grouped(Math.round(n)) : n >= 10 ? n.toFixed(0) : n >= 1 ? n.toFixed(1) : n.toFixed(2)

/** "1 image", "2 images", "1,200 images". */
export const many = (count: number, one: string): string =>
  `${grouped(count)} ${one}${count === 1 ? '' : 's'}`

export function noteSkipped(skipped: readonly SkippedFile[]): void {
  for (const { file, reason } of skipped) note(`left out: ${file}: ${reason}`)
}

/** Without styles and other escape sequences. */
export const plain = stripVTControlCharacters
