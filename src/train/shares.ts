/** What each micro-batch counts of a step, where samples have missing data or a loss counts masked places only. */
import { alone } from '../collective/collective.ts'
import { scope } from '../tensor/scope.ts'
import { fromArray, toArray } from '../tensor/tensor.ts'
import type { Prepared, Trainee } from './trainee.ts'

/**
 * The share of micro-batch i in each part of the loss: countᵢ / Σ count over micro-batches and ranks, or one part in as many as there are.
 * With equal counts both are the same number, to the bit.
 */
export function sharesOf<Batch, Plan>(
  waiting: readonly Prepared<Batch, Plan>[],
  { objective, collective = alone }: Pick<Trainee<Batch, Plan>, 'objective' | 'collective'>,
): (micro: number) => (part: string) => number {
  const counts = scope(() => waiting.map(({ batch, plan }) => objective.counts?.(batch, plan) ?? null))
  if (counts.some((each) => each === null)) return () => () => 1 / (waiting.length * collective.world)
  const names = Object.keys(counts[0]!)
  const own = names.map((name) => counts.reduce((sum, each) => sum + each![name]!, 0))
  const totals = scope(() => {
    const all = fromArray(Float64Array.from(own), [names.length], 'float64')
    collective.allReduce([all])
    return toArray(all) as Float64Array
  })
  const totalOf = new Map(names.map((name, i) => [name, totals[i]!]))
  return (micro) => (part) => counts[micro]![part]! / Math.max(totalOf.get(part)!, 1)
}
