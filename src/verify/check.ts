/** One comparison of a reference file, and how it is made. */
import type { Shape } from '../tensor/tensor.ts'

/** One line of the report. */
export interface Check {
  /** `loss`, `pred`, `mask`, `latent`, `grad.<parameter>`, `losses`, `final.<parameter>`, `out.<case>` */
  readonly name: string
  /** Infinity for another number of elements, and for what is no number. */
  readonly largestDifference: number
  readonly tolerance: number
  /** Whether both are shares of the expected number. */
  readonly isRelative: boolean
  readonly passed: boolean
  /** Where it failed, what was there and what was expected; null where nothing did. */
  readonly wrong: string | null
}

export interface Expected {
  readonly data: ArrayLike<number>
  readonly shape: Shape
}

export interface Bound {
  readonly tolerance: number
  readonly isRelative?: boolean
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

/** Compares numbers in row-major order. */
export function compare(
  name: string,
  actual: ArrayLike<number>,
  { data, shape }: Expected,
  { tolerance, isRelative = false }: Bound,
): Check {
  const { length } = data
  const common = { name, tolerance, isRelative }
  if (actual.length !== length) {
    const wrong = `${actual.length} numbers, expected ${length} of shape [${shape.join(', ')}]`
    return { ...common, largestDifference: Number.POSITIVE_INFINITY, passed: false, wrong }
  }
  let largest = 0
  let first = -1
  let count = 0
  for (let i = 0; i < length; i++) {
    const [found, wanted] = [actual[i]!, data[i]!]
    const absolute = found === wanted ? 0 : Math.abs(found - wanted)
    const by = isRelative && absolute !== 0 ? absolute / Math.abs(wanted) : absolute
    const difference = Number.isNaN(by) ? Number.POSITIVE_INFINITY : by
    if (difference > largest) largest = difference
    if (difference <= tolerance) continue
    if (first < 0) first = i
    count++
  }
  const wrong =
    count === 0
      ? null
      : `${count} of ${length} numbers, the first at [${placeIn(shape, first).join(', ')}]: ${actual[first]}, expected ${data[first]}`
  return { ...common, largestDifference: largest, passed: count === 0, wrong }
}
