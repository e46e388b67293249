/** The averages of an objective as parameters. */
import { SherdError } from '../errors.ts'
import { isLearned, type ParameterRow } from '../model/parameters.ts'
import type { Average, Objective } from './objective.ts'

/** An average and its source parameter. */
export interface Followed {
  readonly average: string
  readonly learned: string
  /** False for a fixed source: the average is then a copy, so that the network under its prefix is complete. */
  readonly moves: boolean
}

/** In the order of the rows. */
export const followedBy = (
  rows: readonly ParameterRow[],
  { prefix, from, of = () => true, fixed = 'copied' }: Average,
): Followed[] =>
  rows
    .filter(({ name, role }) => role !== 'state' && name.startsWith(from) && of(name.slice(from.length)))
    .map((row) => ({
      ...{ average: `${prefix}${row.name.slice(from.length)}`, learned: row.name },
      moves: isLearned(row) || fixed === 'averaged',
    }))

/** The prefix of the learned parameters of the kept encoder: its own, or of those that it averages. */
export function learnedPrefix({ averages = [], encoder }: Pick<Objective, 'averages' | 'encoder'>): string {
  const own = averages.find(({ prefix }) => prefix !== '' && encoder.prefix.startsWith(prefix))
  return own ? own.from + encoder.prefix.slice(own.prefix.length) : encoder.prefix
}

/**
 * Every parameter of an objective that a checkpoint holds: its own rows, then the averages, which start as copies of what they follow. Throws
 * `BUG` for an average of nothing, and for two parameters of one name.
 */
export function allRows({ rows, averages = [] }: Pick<Objective, 'rows' | 'averages'>): ParameterRow[] {
  const byName = new Map(rows.map((row) => [row.name, row]))
  const add = (row: ParameterRow) => {
    if (byName.has(row.name)) throw new SherdError('BUG', `Bug: two parameters have the name "${row.name}"`)
    byName.set(row.name, row)
  }
  for (const each of averages) {
    const followed = followedBy(rows, each)
    if (followed.length === 0)
      throw new SherdError(
        'BUG',
        `Bug: the average "${each.prefix}" follows nothing: no row that is learned or fixed begins with "${each.from}"`,
      )
    for (const { average, learned, moves } of followed)
      add({
        ...{ name: average, shape: byName.get(learned)!.shape, role: moves ? 'state' : 'fixed' },
        initial: { copyOf: learned },
      })
  }
  return [...byName.values()]
}
