/** Comparisons with a reference file. */
import type { Shape } from '../tensor/tensor.ts'

/** A line of the report. */
export interface Check {
  /** `loss`, `pred`, `mask`, `latent`, `part.<name>`, `out.<name>`, `grad.<parameter>`, `losses`, `final.<parameter>`, … */
  readonly name: string
  /** The difference closest to its tolerance, or farthest above it. Infinity for another number of elements, or NaN. */
  readonly largestDifference: number
  /** Its tolerance. */
  readonly tolerance: number
  /** Whether both are shares of the expected number. */
  readonly isRelative: boolean
  readonly passed: boolean
  /** Location, actual and expected value of a failure; null if it passed. */
  readonly wrong: string | null
}

export interface Expected {
  readonly data: ArrayLike<number>
  readonly shape: Shape
}

export interface Bound {
  /** Of the difference of each number. */
  readonly tolerance: number
  /**
   * What that is times: each expected number (`isRelative` in the report); each one above 1; or the greatest of the tensor where it is
   * above 1. By default 1.
   */
  readonly times?: 'each' | 'large' | 'greatest'
  /** Of the mean difference, too. */
  readonly mean?: number
  /** Instead of `tolerance` in the middle third of the rows: the keys of a fused query, key and value. */
  readonly keys?: number
}

/** The place of an element, by its place in all of them. */
function placeIn(shape: Shape, at: number): number[] {
  const place: number[] = []
  let rest = at
  for (const size of [...shape].reverse()) {
    place.unshift(rest % size)
    rest = Math.floor(rest / size)
  }
  return place
}

/** Of the finite values only, since others must not widen a bound. */
export function greatestOf(data: ArrayLike<number>): number {
  let greatest = 0
  for (let i = 0; i < data.length; i++)
    if (Number.isFinite(data[i])) greatest = Math.max(greatest, Math.abs(data[i]!))
  return greatest
}

const excessOf = (difference: number, tolerance: number): number =>
  difference === 0 ? 0 : difference / tolerance

/** Compares numbers in row-major order. */
export function compare(
  name: string,
  actual: ArrayLike<number>,
  { data, shape }: Expected,
  { tolerance, times, mean, keys = tolerance }: Bound,
): Check {
  const { length } = data
  const isRelative = times === 'each'
  const common = { name, isRelative }
  if (actual.length !== length) {
    const wrong = `${actual.length} numbers, expected ${length} of shape [${shape.join(', ')}]`
    return { ...common, tolerance, largestDifference: Number.POSITIVE_INFINITY, passed: false, wrong }
  }
  const scale = times === 'greatest' ? Math.max(1, greatestOf(data)) : 1
  const unitOf = (wanted: number) =>
    times === 'each' ? Math.abs(wanted) : times === 'large' ? Math.max(1, Math.abs(wanted)) : 1
  let worst = { difference: 0, tolerance: scale * tolerance }
  let [first, count, sum] = [-1, 0, 0]
  const look = (difference: number, allowed: number): boolean => {
    const isWorse = excessOf(difference, allowed) > excessOf(worst.difference, worst.tolerance)
    if (isWorse) worst = { difference, tolerance: allowed }
    return difference > allowed
  }
  for (let i = 0; i < length; i++) {
    const [found, wanted] = [actual[i]!, data[i]!]
    const by = found === wanted ? 0 : Math.abs(found - wanted) / unitOf(wanted)
    const difference = Number.isNaN(by) ? Number.POSITIVE_INFINITY : by
    sum += difference
    const isKey = 3 * i >= length && 3 * i < 2 * length
    if (!look(difference, scale * (isKey ? keys : tolerance))) continue
    if (first < 0) first = i
    count++
  }
  const average = length === 0 ? 0 : sum / length
  const isFarOnAverage = mean !== undefined && look(average, mean)
  const where =
    count > 0
      ? `${count} of ${length} numbers, the first at [${placeIn(shape, first).join(', ')}]: ${actual[first]}, expected ${data[first]}`
      : isFarOnAverage
        ? `${length} numbers differ by ${average} on average`
        : null
  return {
    ...common,
    tolerance: worst.tolerance,
    largestDifference: worst.difference,
    passed: where === null,
    wrong: where,
  }
}
