/** Principal components of patch features, as colours (Oquab et al. 2023, figure 1). In float64, since small components are differences of large numbers. */
import { quantile } from '../prepare/quantile.ts'
import { callMany } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import { div, matmul, narrow, sub, transpose } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { fromArray, type Tensor, toArray } from '../tensor/tensor.ts'

export interface Components {
  /** [count][width], of length 1. The number of greatest magnitude is positive, so that colours do not depend on the solver. */
  readonly vectors: readonly Float64Array[]
  /** Share of the variance of each. */
  readonly explained: readonly number[]
  /** [rows][count], around the mean. */
  readonly values: readonly Float64Array[]
}

const doubles = (x: Tensor) => toArray(x) as Float64Array

/** `features`: [rows, width] */
export function principalComponents(features: Float32Array, width: number, count = 3): Components {
  const rows = features.length / width
  const kept = Math.min(count, width)
  const mean = new Float64Array(width)
  for (const [i, value] of features.entries()) mean[i % width]! += value / rows
  const { values, vectors, projected } = noGrad(() =>
    scope(() => {
      const all = fromArray(Float64Array.from(features), [rows, width], 'float64')
      const centred = sub(all, fromArray(mean, [width], 'float64'))
      const covariance = div(matmul(transpose(centred, 0, 1), centred), rows)
      const [values, each] = callMany('linalg_eigh', covariance, 'L') as [Tensor, Tensor] // ascending
      const vectors = narrow(each, 1, width - kept, kept)
      const projected = matmul(centred, vectors)
      return { values: doubles(values), vectors: doubles(vectors), projected: doubles(projected) }
    }),
  )
  const total = values.reduce((sum, value) => sum + value, 0)
  const column = (from: Float64Array, at: number, sign = 1) =>
    Float64Array.from({ length: from.length / kept }, (_, row) => sign * from[row * kept + at]!)
  const largest = (a: number, b: number) => (Math.abs(b) > Math.abs(a) ? b : a)
  const order = Array.from({ length: kept }, (_, i) => {
    const at = kept - 1 - i // the first is that of the most variance
    return { at, sign: column(vectors, at).reduce(largest) < 0 ? -1 : 1, value: values[width - 1 - i]! }
  })
  const parts = order.map(({ at, sign }) => column(projected, at, sign))
  return {
    vectors: order.map(({ at, sign }) => column(vectors, at, sign)),
    explained: order.map(({ value }) => (total > 0 ? Math.max(0, value) / total : 0)),
    values: Array.from({ length: rows }, (_, row) => Float64Array.from(parts, (part) => part[row]!)),
  }
}

/** What is drawn dark and at full brightness: a few odd patches decide no scale. */
const [LOW, HIGH] = [0.01, 0.99]

/** [rows, 3] bytes: red, green and blue by the first three components. A component that is the same everywhere is grey. */
export function componentColours({ values }: Pick<Components, 'values'>): Uint8Array {
  const colours = new Uint8Array(3 * values.length).fill(128)
  for (let c = 0; c < Math.min(3, values[0]?.length ?? 0); c++) {
    const ascending = Float64Array.from(values, (value) => value[c]!).sort()
    const [low, high] = [quantile(ascending, LOW), quantile(ascending, HIGH)]
    if (!(high > low)) continue
    for (const [row, value] of values.entries())
      colours[3 * row + c] = Math.round(255 * Math.min(1, Math.max(0, (value[c]! - low) / (high - low))))
  }
  return colours
}
