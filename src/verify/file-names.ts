/** Parameters under the names of a reference file, where an objective has others. */
import type { ParameterRow, Weights } from '../model/parameters.ts'
import { reshape } from '../tensor/ops.ts'

/** What a parameter is called in a file, and its shape there, of as many numbers. */
export type Named = Pick<ParameterRow, 'name' | 'shape'>

export interface FileNames {
  readonly rows: readonly ParameterRow[]
  /** From the file's names to the objective's. */
  own(weights: Weights): Weights
}

export function fileNames(rows: readonly ParameterRow[], namedOf: (row: ParameterRow) => Named): FileNames {
  const byName = new Map(rows.map((row) => [row.name, { row, named: namedOf(row) }]))
  const found = (name: string) => byName.get(name)!
  return {
    rows: rows.map((row) => ({ ...row, ...found(row.name).named })),
    own: (weights) => (name) => reshape(weights(found(name).named.name), found(name).row.shape),
  }
}
