/** Stats of micro-batches for `update`, summed or concatenated. */
import type { Collective } from '../collective/collective.ts'
import { SherdError } from '../errors.ts'
import type { Objective, Tensors } from '../objective/objective.ts'
import { noGrad } from '../tensor/context.ts'
import { add, cat, clone } from '../tensor/ops.ts'
import { scope, unscoped } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'

export interface Stats {
  add(tensors: Tensors | undefined): void
  /** Over all ranks, in the current scope. */
  read(collective: Collective): Tensors
  dispose(): void
}

/** Throws `BUG` for a stat that the objective does not declare. */
export function openStats(kinds: Objective['stats'] = {}): Stats {
  const collected = new Map<string, Tensor[]>()
  return {
    add(tensors = {}) {
      for (const [name, value] of Object.entries(tensors)) {
        if (!kinds[name])
          throw new SherdError(
            'BUG',
            `Bug: the loss gives a stat "${name}", which the objective does not declare`,
          )
        const own = noGrad(() => unscoped(() => clone(value)))
        collected.set(name, [...(collected.get(name) ?? []), own])
      }
    },
    read: (collective) =>
      scope(() =>
        Object.fromEntries(
          [...collected].map(([name, values]) => {
            if (kinds[name] === 'rows') return [name, collective.gather(cat(values, 0))]
            const sum = values.length === 1 ? clone(values[0]!) : values.reduce((a, b) => add(a, b))
            collective.allReduce([sum])
            return [name, sum]
          }),
        ),
      ),
    dispose() {
      for (const values of collected.values()) for (const each of values) each.dispose()
    },
  }
}
