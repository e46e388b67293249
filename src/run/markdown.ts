/** Tables and numbers of reports, as Markdown. */
import type { MeanAndDeviation } from '../evaluate/scores.ts'

/** 0.712 → `71.20` */
export const percent = (share: number) => (100 * share).toFixed(2)
/** `71.20 ± 0.31`, in percent; without the deviation for a single value. */
export const withDeviation = ({ mean, deviation }: MeanAndDeviation, of: number) =>
  of > 1 ? `${percent(mean)} ± ${percent(deviation)}` : percent(mean)

const markdownTable = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')

// A name may hold what Markdown would take for its own.
export const plain = (text: string) =>
  text.replaceAll('\\', '\\\\').replaceAll('|', '\\|').replaceAll('\n', ' ')

type Column<T> = readonly [title: string, cell: (row: T) => string | null]

/** A table of the columns that any row has something for. */
export function tableOf<T>(rows: readonly T[], columns: readonly Column<T>[]): string {
  const used = columns.filter(([, cell]) => rows.some((row) => cell(row)))
  return markdownTable(
    used.map(([title]) => title),
    rows.map((row) => used.map(([, cell]) => cell(row) ?? '')),
  )
}
