// What is kept of the experiment on targets and masks: tables that follow from their cells, cells that follow from their reports.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { cellsOf, rows } from '../../experiments/targets-rows.ts'
import { measures, type Result, tableFrom, tableMarkdown } from '../../experiments/targets-table.ts'
import { packageRoot } from '../../src/package-root.ts'

const results = join(packageRoot(), 'bench/results')
const kept = readdirSync(results).filter((name) => name.endsWith('-targets'))

describe.each(kept)('%s', (name) => {
  const textOf = (file: string) => readFileSync(join(results, name, file), 'utf8')
  const files = cellsOf(rows).map(({ row, seed }) => `${row.name}-${seed}.json`)
  const there = new Set(readdirSync(join(results, name)))
  const cells = files
    .filter((file) => there.has(file))
    .map((file): [string, Result] => [file, JSON.parse(textOf(file)) as Result])

  it('has no cell of an unknown row', () => {
    expect([...there].sort()).toEqual([...cells.map(([file]) => file), 'table.json', 'table.md'].sort())
  })

  it.each(cells)('%s: top-1 is that of the report, and the report that of its hash', (_, cell) => {
    for (const measure of measures) {
      const { sha256, report } = cell.reports[measure]
      expect(createHash('sha256').update(JSON.stringify(report)).digest('hex')).toBe(sha256)
      const { confusion, images } = report.scores
      expect(confusion.reduce((sum, row, label) => sum + row[label]!, 0) / images).toBe(cell.top1[measure])
    }
  })

  it('the table follows from the cells', () => {
    const all = cells.map(([, cell]) => cell)
    expect(textOf('table.md')).toBe(tableMarkdown(all, all[0]!.preset))
    expect(JSON.parse(textOf('table.json'))).toEqual(JSON.parse(JSON.stringify(tableFrom(all))))
  })
})
