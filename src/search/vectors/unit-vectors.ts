/** Vectors of length 1, whose products are cosine similarities. */
import { SherdError } from '../../errors.ts'

export interface Vectors {
  readonly count: number
  /** D */
  readonly width: number
  /** [count, D] */
  readonly values: Float32Array
}

export const rowOf = ({ values, width }: Vectors, row: number): Float32Array =>
  values.subarray(row * width, (row + 1) * width)

/** Some rows, in this order. */
export function pickVectors(vectors: Vectors, rows: ArrayLike<number>): Vectors {
  const { width } = vectors
  const values = new Float32Array(rows.length * width)
  for (let i = 0; i < rows.length; i++) values.set(rowOf(vectors, rows[i]!), i * width)
  return { count: rows.length, width, values }
}

/**
 * Normalises vectors. Throws `SHAPE` if there are not count · D values, `VALUE` for a vector that is zero or non-finite.
 * `nameOf`: names a row in the message.
 */
export function unitVectors(
  { count, width, values }: Vectors,
  nameOf: (row: number) => string = (row) => `row ${row}`,
): Vectors {
  if (values.length !== count * width || width < 1)
    throw new SherdError(
      'SHAPE',
      `unitVectors: expected ${count} × ${width} numbers, at least one in each vector, got ${values.length}`,
    )
  const units = new Float32Array(values.length)
  for (let row = 0; row < count; row++) {
    const at = row * width
    let sum = 0
    for (let i = at; i < at + width; i++) sum += values[i]! * values[i]!
    if (!(sum > 0) || sum === Number.POSITIVE_INFINITY)
      throw new SherdError(
        'VALUE',
        sum === 0
          ? `The vector of ${nameOf(row)} is zero: it has no direction to compare.`
          : `The vector of ${nameOf(row)} has numbers that are not finite: the model or its input is broken.`,
      )
    const scale = 1 / Math.sqrt(sum)
    for (let i = at; i < at + width; i++) units[i] = values[i]! * scale
  }
  return { count, width, values: units }
}

/** The dot product of row `i` of `a` and row `j` of `b`, in float64. */
export function product(a: Vectors, i: number, b: Vectors, j: number): number {
  const { width } = a
  const [x, y] = [a.values, b.values]
  let sum = 0
  for (let d = 0, p = i * width, q = j * width; d < width; d++) sum += x[p + d]! * y[q + d]!
  return sum
}
