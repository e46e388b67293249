/** `sherd compare`: reports of `sherd evaluate` as one table. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { expectFree } from '../../files/claim.ts'
import { writeWhole } from '../../files/write-whole.ts'
import { describeCommand } from '../help.ts'
import { note, print, printJson, table } from '../output.ts'
import { columnsOf } from '../terminal.ts'

interface Flags {
  readonly out?: string
  readonly overwrite?: boolean
  readonly json?: boolean
}

export function addCompare(root: Command): void {
  const command = root
    .command('compare')
    .description('show reports of "sherd evaluate" as one table, with differences to the first')
    .argument('<report...>', 'report.json files, or folders with them')
    .option('--out <file>', 'write the table as Markdown, too')
    .option('--overwrite', 'replace --out where it exists')
    .option('--json', 'print the comparison as JSON')
    .action(run)
  describeCommand(command, {
    group: 'Evaluate',
    examples: [
      'sherd compare knn linear  # what pretraining is worth',
      'sherd compare reports/* --out table.md  # the same as Markdown',
    ],
    page: 'evaluate.md#comparing-reports',
  })
}

const numbersOf = (titles: readonly string[]) =>
  titles.flatMap((title, i) => (/%$|difference/.test(title) ? [i] : []))

/** Of a table with two spaces between columns. */
const widthOf = (cells: readonly (readonly string[])[]) =>
  cells[0]!.reduce((sum, _, i) => sum + 2 + Math.max(...cells.map((row) => row[i]!.length)), -2)

async function run(paths: readonly string[], { out, overwrite = false, json }: Flags): Promise<void> {
  const { compareReports, comparisonColumns, comparisonLines, comparisonMarkdown, comparisonNotes } =
    await import('../../evaluate/compare-reports.ts')
  if (out !== undefined) expectFree(out, overwrite)
  const comparison = compareReports(paths)
  if (out !== undefined) writeWhole(out, comparisonMarkdown(comparison))
  if (json) return printJson(comparison)
  const room = columnsOf('out') ?? Number.POSITIVE_INFINITY
  const tables = [false, true].map((short) => {
    const columns = comparisonColumns(comparison, { short })
    return [
      columns.map(([title]) => title),
      ...comparison.rows.map((row) => columns.map(([, cell]) => cell(row))),
    ]
  })
  const fitting = tables.find((cells) => widthOf(cells) <= room)
  if (fitting) print(table(fitting, numbersOf(fitting[0]!)))
  else for (const line of comparison.rows.flatMap((row) => comparisonLines(comparison, row))) print(line)
  for (const line of comparisonNotes(comparison)) note(line)
  if (out !== undefined) print(`table: ${resolve(out)}`)
}
