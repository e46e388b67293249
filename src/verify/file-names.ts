/** Parameters under the names of a reference file, where an objective has others. */
import type { ParameterRow, Weights } from '../model/parameters.ts'
import { allRows } from '../objective/averages.ts'
import type { Average } from '../objective/objective.ts'
import { reshape } from '../tensor/ops.ts'

/** What a parameter is called in a file, and its shape there, of as many numbers. */
export type Named = Pick<ParameterRow, 'name' | 'shape'>

export interface FileNames {
  readonly rows: readonly ParameterRow[]
  /** From the file's names to the objective's. */
  own(weights: Weights): Weights
}

/** `averages`: of all rows, which have the same prefix in a file. */
export function fileNames(
  rows: readonly ParameterRow[],
  namedOf: (row: ParameterRow) => Named,
  averages: readonly Average[] = [],
): FileNames {
  const named = rows.map((row) => ({ ...row, ...namedOf(row) }))
  const [own, inFile] = [rows, named].map((each) => allRows({ rows: each, averages }))
  const places = new Map(own!.map(({ name, shape }, i) => [name, { name: inFile![i]!.name, shape }]))
  return {
    rows: named,
    own: (weights) => (name) => {
      const place = places.get(name)!
      return reshape(weights(place.name), place.shape)
    },
  }
}
