/** Weights of micro-batches in a step, where samples lack data or a loss counts masked tokens. */
import { alone } from '../collective/collective.ts'
import { scope } from '../tensor/scope.ts'
import { fromArray, toArray } from '../tensor/tensor.ts'
import type { Prepared, Trainee } from './trainee.ts'

type ShareOf = (part: string) => number

export interface Shares {
  /** Of micro-batch i. */
  readonly of: (micro: number) => ShareOf
  /** Of all micro-batches of this rank. */
  readonly ofAll: ShareOf
}

/**
 * The share in each part of the loss: countᵢ / Σ count over micro-batches and ranks; 1 / n for parts without counts. With equal counts both
 * are bitwise equal. A part with no counts at all has share 0.
 */
export function sharesOf<Batch, Plan>(
  waiting: readonly Prepared<Batch, Plan>[],
  { objective, collective = alone }: Pick<Trainee<Batch, Plan>, 'objective' | 'collective'>,
): Shares {
  const counts = scope(() => waiting.map(({ batch, plan }) => objective.counts?.(batch, plan) ?? {}))
  const names = Object.keys(counts[0]!)
  const own = names.map((name) => counts.reduce((sum, each) => sum + each[name]!, 0))
  const totals = scope(() => {
    if (names.length === 0) return []
    const all = fromArray(Float64Array.from(own), [names.length], 'float64')
    collective.allReduce([all])
    return toArray(all) as Float64Array
  })
  const share = (part: string, count: (at: number) => number, alike: number) => {
    const at = names.indexOf(part)
    if (at < 0) return alike
    return totals[at]! > 0 ? count(at) / totals[at]! : 0
  }
  const { world } = collective
  return {
    of: (micro) => (part) => share(part, () => counts[micro]![part]!, 1 / (waiting.length * world)),
    ofAll: (part) => share(part, (at) => own[at]!, 1 / world),
  }
}
