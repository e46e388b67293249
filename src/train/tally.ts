/** Accumulates losses and metrics of a step, with one transfer from the device per micro-batch. */
import type { Collective } from '../collective/collective.ts'
import type { Losses } from '../objective/objective.ts'
import { cat, reshape, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { fromArray, item, type Tensor, toArray, toFloats } from '../tensor/tensor.ts'

export interface Tally {
  /** `shareOf`: the micro-batch's share in a part. */
  add(losses: Losses, shareOf: (part: string) => number): void
  isFinite(): boolean
  /** Over all ranks. */
  read(collective: Collective): {
    readonly loss: number
    readonly parts: Readonly<Record<string, number>>
    readonly metrics: Readonly<Record<string, number>>
  }
}

const valuesOf = (scalars: readonly Tensor[]): ArrayLike<number> =>
  scalars.length === 1
    ? [item(scalars[0]!)]
    : scope(() =>
        toFloats(
          cat(
            scalars.map((x) => reshape(toDtype(x, 'float32'), [1])),
            0,
          ),
        ),
      )

const summed = (values: readonly number[], collective: Collective): ArrayLike<number> =>
  scope(() => {
    const all = fromArray(Float64Array.from(values), [values.length], 'float64')
    collective.allReduce([all])
    return toArray(all) as Float64Array
  })

export function openTally(): Tally {
  let loss = 0
  let additions = 0
  const parts = new Map<string, number>()
  const metrics = new Map<string, number>()
  const grow = (sums: Map<string, number>, name: string, value: number) =>
    sums.set(name, (sums.get(name) ?? 0) + value)
  return {
    add({ parts: given, metrics: measured = {} }, shareOf) {
      const [partNames, metricNames] = [Object.keys(given), Object.keys(measured)]
      const values = valuesOf([...partNames.map((name) => given[name]!.mean), ...Object.values(measured)])
      for (const [i, name] of partNames.entries()) {
        const share = values[i]! * shareOf(name)
        grow(parts, name, share)
        loss += given[name]!.weight * share
      }
      for (const [i, name] of metricNames.entries()) grow(metrics, name, values[partNames.length + i]!)
      additions++
    },
    isFinite: () => Number.isFinite(loss),
    read(collective) {
      const means = [...metrics].map(([, sum]) => sum / additions / collective.world)
      const own = [loss, ...parts.values(), ...means]
      const all = collective.world === 1 ? own : summed(own, collective)
      const named = (names: Iterable<string>, from: number) =>
        Object.fromEntries([...names].map((name, i) => [name, all[from + i]!]))
      return {
        loss: all[0]!,
        parts: named(parts.keys(), 1),
        metrics: named(metrics.keys(), 1 + parts.size),
      }
    },
  }
}
