/** Checks new values of state before they are written. */
import { SherdError } from '../errors.ts'
import type { Objective, Tensors } from '../objective/objective.ts'
import { type NotFinite, notFinite } from '../tensor/finite.ts'

/** Throws `BUG` for parameters that are not state, or for another shape, which would fail half-way or broadcast. */
export function expectState({ rows }: Pick<Objective, 'rows'>, values: Tensors): Tensors {
  for (const [name, value] of Object.entries(values)) {
    const row = rows.find((each) => each.name === name)
    if (row?.role === 'state' && row.shape.join() === value.shape.join()) continue
    const expected =
      row?.role === 'state' ? `[${row.shape.join(', ')}]` : 'one of its rows of the role "state"'
    throw new SherdError('BUG', `Bug: the objective gives "${name}" as ${value}, expected ${expected}`)
  }
  return values
}

export const firstWrong = (values: Tensors, which: string): NotFinite | null =>
  Object.entries(values).reduce<NotFinite | null>(
    (wrong, [name, value]) => wrong ?? notFinite(`the ${which} value of ${name}`, value),
    null,
  )
