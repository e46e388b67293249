/** How much of another program's file was taken. */
import type { ForeignWeights } from './foreign.ts'
import type { ForeignModel } from './foreign-model.ts'
import { type Layout, layouts } from './layouts.ts'

export interface Taken {
  /** Their tensors of numbers. */
  readonly tensors: number
  readonly of: number
  /** Of all values, 0 to 1. */
  readonly share: number
}

/** `took 40 of 62 tensors, 90.6 % of the values` */
export function takenText({ tensors, of, share }: Taken): string {
  if (tensors === of) return `took all ${of} tensors, 100 % of the values`
  const percent = Math.min(99.9, 100 * share).toFixed(1) // never 100 where something was left
  return `took ${tensors} of ${of} tensors, ${percent} % of the values`
}

const floating = ['float32', 'float64', 'float16', 'bfloat16']
const countOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)

/** Tables that are computed here are taken, too. */
export function takenOf(
  { arrays }: ForeignWeights,
  { parameters, places, prefix, wrapper, layout }: ForeignModel,
  /** Our names of what was read. */
  read: readonly string[],
): Taken {
  const numbers = [...arrays].filter(([, { dtype }]) => floating.includes(dtype))
  const names = read.flatMap((name) => parameters.get(name)?.from ?? [])
  const { positions }: Layout = layouts[layout]
  const ofTables = [...places.dropped.map(({ name }) => name), ...(places.table ? [positions!.name] : [])]
  const tables = ofTables.flatMap((name) => [name, wrapper + name])
  const taken = new Set([...names, ...tables].map((name) => prefix + name))
  const own = numbers.filter(([name]) => taken.has(name))
  const values = (list: typeof numbers) => list.reduce((sum, [, { shape }]) => sum + countOf(shape), 0)
  return { tensors: own.length, of: numbers.length, share: values(own) / Math.max(1, values(numbers)) }
}
