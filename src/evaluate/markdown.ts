/** Tables and numbers of Markdown reports. */
import { escapeControls } from '../errors.ts'
import { asTaken, type HowTaken } from '../weights/how-taken.ts'
import type { MeanAndDeviation } from './scores.ts'

/** 0.712 → `71.20` */
export const percent = (share: number) => (100 * share).toFixed(2)
/** `71.20 ± 0.31` in percent; no deviation for a single value. */
export const withDeviation = ({ mean, deviation }: MeanAndDeviation, of: number) =>
  of > 1 ? `${percent(mean)} ± ${percent(deviation)}` : percent(mean)

const markdownTable = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }

/** Escapes characters of a name that Markdown, HTML or a terminal would interpret. */
export const plain = (text: string): string =>
  escapeControls(text.replaceAll(/[\n\t]/g, ' '))
    .replaceAll(/[\\`*_[\]|~#!]/g, '\\$&')
    .replaceAll(/[&<>]/g, (character) => entities[character]!)

type Column<T> = readonly [title: string, cell: (row: T) => string | null]

/** A table without columns that are empty in every row. */
export function tableOf<T>(rows: readonly T[], columns: readonly Column<T>[]): string {
  const used = columns.filter(([, cell]) => rows.some((row) => cell(row)))
  return markdownTable(
    used.map(([title]) => title),
    rows.map((row) => used.map(([, cell]) => cell(row) ?? '')),
  )
}

/** What was read of an image, and how it was prepared. */
export const readsLine = (reads: HowTaken): string =>
  `reads: ${reads.feature}${asTaken(reads, reads.feature)}, of images of ${reads.imageSize.join(' × ')} (${reads.preparation})`
