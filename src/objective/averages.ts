/** The averages of an objective as parameters: which there are, and what each follows. */
import { isLearned, type ParameterRow } from '../model/parameters.ts'
import type { Average, Objective } from './objective.ts'

/** An average and the learned parameter that it follows. */
export interface Followed {
  readonly average: string
  readonly learned: string
}

/** What an `Average` averages, in the order of the rows. */
export const followedBy = (
  rows: readonly ParameterRow[],
  { prefix, from, of = () => true }: Average,
): Followed[] =>
  rows
    .filter((row) => isLearned(row) && row.name.startsWith(from) && of(row.name.slice(from.length)))
    .map(({ name }) => ({ average: `${prefix}${name.slice(from.length)}`, learned: name }))

/** Every parameter of an objective that a checkpoint holds: its own rows, then the averages, which start as copies of what they follow. */
export function allRows({ rows, averages = [] }: Pick<Objective, 'rows' | 'averages'>): ParameterRow[] {
  const byName = new Map(rows.map((row) => [row.name, row]))
  return [
    ...rows,
    ...averages.flatMap((each) =>
      followedBy(rows, each).map(
        ({ average, learned }): ParameterRow => ({
          ...{ name: average, shape: byName.get(learned)!.shape, role: 'state' },
          initial: { copyOf: learned },
        }),
      ),
    ),
  ]
}
