/**
 * Principal components of patch features, as colours (Oquab et al. 2023, figure 1). Runs in browsers. In float64, since small components are
 * differences of large numbers, and without the covariance of all features: only the first few components are asked for.
 */
import { quantile } from '../prepare/quantile.ts'
import { draws } from '../random/draws.ts'

export interface Components {
  readonly mean: Float64Array
  /**
   * [count][width], of length 1. The number of greatest magnitude is positive, so that colours do not depend on the solver. Zeros where
   * features vary in fewer directions.
   */
  readonly vectors: readonly Float64Array[]
  /** Share of the variance of each. */
  readonly explained: readonly number[]
  /** [count][rows], around the mean. */
  readonly values: readonly Float64Array[]
}

/** Of the greatest eigenvalue: what an eigenvector may be wrong by. */
const CLOSE = 1e-11
/** Of the variance: less is what rounding to float32 makes. */
const ROUNDING = 1e-12
/** Steps after which it takes what it has: components that are nearly equal cannot be separated anyway. */
const MOST_STEPS = 300

const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}
const addTo = (to: Float64Array, factor: number, from: Float64Array) => {
  for (let i = 0; i < to.length; i++) to[i]! += factor * from[i]!
}
const scaleBy = (x: Float64Array, factor: number) => x.map((value) => factor * value)

/** `features`: [rows, width] */
export function principalComponents(features: Float32Array, width: number, count = 3): Components {
  const rows = features.length / width
  const kept = Math.min(count, width)
  const mean = new Float64Array(width)
  for (let i = 0; i < features.length; i++) mean[i % width]! += features[i]! / rows
  let total = 0
  for (let i = 0; i < features.length; i++) total += (features[i]! - mean[i % width]!) ** 2 / rows
  const along = (vector: Float64Array) => alongVector(features, { mean, vector })
  /** The covariance times a vector. */
  const covariance = (vector: Float64Array) => {
    const values = along(vector)
    const made = new Float64Array(width)
    for (let row = 0, at = 0; row < rows; row++) {
      const value = values[row]! / rows
      for (let i = 0; i < width; i++) made[i]! += value * features[at++]!
    }
    addTo(made, -values.reduce((sum, value) => sum + value / rows, 0), mean)
    return made
  }
  const first = total > 0 ? leading(covariance, { width, count: kept, trace: total }) : []
  const positive = (vector: Float64Array) => {
    const largest = vector.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a))
    return largest < 0 ? scaleBy(vector, -1) : vector
  }
  const real = first.filter(({ value }) => value > ROUNDING * total)
  const vectors = real.map(({ vector }) => positive(vector))
  const none = <T>(made: T) => Array.from({ length: kept - real.length }, () => made)
  return {
    mean,
    vectors: [...vectors, ...none(new Float64Array(width))],
    explained: [...real.map(({ value }) => value / total), ...none(0)],
    values: [...vectors.map(along), ...none(new Float64Array(rows))],
  }
}

/** Of each row, around the mean. */
function alongVector(
  features: Float32Array,
  { mean, vector }: { readonly mean: Float64Array; readonly vector: Float64Array },
): Float64Array {
  const width = mean.length
  const from = dot(mean, vector)
  const values = new Float64Array(features.length / width)
  for (let row = 0, at = 0; row < values.length; row++) {
    let sum = -from
    for (let i = 0; i < width; i++) sum += features[at++]! * vector[i]!
    values[row] = sum
  }
  return values
}

/** Other features in the same components. */
export const inComponents = (
  features: Float32Array,
  { mean, vectors }: Pick<Components, 'mean' | 'vectors'>,
): Pick<Components, 'values'> => ({
  values: vectors.map((vector) => alongVector(features, { mean, vector })),
})

interface Eigen {
  readonly value: number
  readonly vector: Float64Array
}

/**
 * The `count` greatest eigenvalues of a symmetric matrix with their vectors, by Lanczos' method, with every new direction made orthogonal to
 * all before it (Parlett 1980, chapter 13).
 */
function leading(
  times: (x: Float64Array) => Float64Array,
  { width, count, trace }: { readonly width: number; readonly count: number; readonly trace: number },
): Eigen[] {
  const { normal } = draws({ seed: 0, stream: 'look/components', epoch: 0, index: 0 })
  const basis: Float64Array[] = []
  /** What of a vector none of the basis is; twice, since once leaves what rounding lost. */
  const clear = (x: Float64Array) => {
    for (let time = 0; time < 2; time++) for (const each of basis) addTo(x, -dot(each, x), each)
    return Math.sqrt(dot(x, x))
  }
  const other = () => {
    const x = Float64Array.from({ length: width }, normal)
    return scaleBy(x, 1 / clear(x))
  }
  const [diagonal, beside]: [number[], number[]] = [[], []]
  const most = Math.min(width, MOST_STEPS)
  let next = other()
  let check = Math.min(most, 4 * count)
  for (;;) {
    basis.push(next)
    const x = times(next)
    diagonal.push(dot(next, x))
    const size = basis.length
    const length = clear(x)
    // Nowhere new to go: what is left, if anything, is apart from what was found, as equal eigenvalues are.
    const isNew = length > 1e-14 * trace
    beside.push(isNew ? length : 0)
    const isAll = size === most || diagonal.reduce((sum, value) => sum + value, 0) > (1 - 1e-14) * trace
    if (isAll || size === check) {
      const found = eigenOf(diagonal, beside).slice(0, count)
      const isClose = found.every(
        ({ vector }) => Math.abs(length * vector[size - 1]!) <= CLOSE * found[0]!.value,
      )
      if (isAll || (isNew && isClose))
        return found.map(({ value, vector }) => {
          const made = new Float64Array(width)
          for (const [i, each] of basis.entries()) addTo(made, vector[i]!, each)
          return { value, vector: scaleBy(made, 1 / Math.sqrt(dot(made, made))) }
        })
      check = Math.min(most, Math.ceil(1.5 * check))
    }
    next = isNew ? scaleBy(x, 1 / length) : other()
  }
}

/** All eigenvalues, the greatest first, of a matrix of three diagonals, by Jacobi's rotations (Golub and Van Loan 2013, 8.5). */
function eigenOf(diagonal: readonly number[], beside: readonly number[]): Eigen[] {
  const n = diagonal.length
  const a = diagonal.map((value, i) =>
    Float64Array.from({ length: n }, (_, j) =>
      i === j ? value : Math.abs(i - j) === 1 ? beside[Math.min(i, j)]! : 0,
    ),
  )
  const vectors = diagonal.map((_, i) => Float64Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)))
  const turn = (p: Float64Array, q: Float64Array, c: number, s: number) => {
    for (let i = 0; i < n; i++) {
      const [x, y] = [p[i]!, q[i]!]
      p[i] = c * x - s * y
      q[i] = s * x + c * y
    }
  }
  const size = Math.max(...a.map((row) => row.reduce((most, value) => Math.max(most, Math.abs(value)), 0)))
  for (let sweep = 0, isDone = false; !isDone && sweep < 60; sweep++) {
    isDone = true
    for (let p = 0; p < n; p++)
      for (let q = p + 1; q < n; q++) {
        const off = a[p]![q]!
        if (Math.abs(off) <= 1e-15 * size) continue
        isDone = false
        const theta = (a[q]![q]! - a[p]![p]!) / (2 * off)
        const t = Math.sign(theta || 1) / (Math.abs(theta) + Math.hypot(theta, 1))
        const c = 1 / Math.hypot(t, 1)
        turn(a[p]!, a[q]!, c, t * c)
        for (const row of a) [row[p], row[q]] = [c * row[p]! - t * c * row[q]!, t * c * row[p]! + c * row[q]!]
        turn(vectors[p]!, vectors[q]!, c, t * c)
      }
  }
  return vectors.map((vector, i) => ({ value: a[i]![i]!, vector })).sort((x, y) => y.value - x.value)
}

/** What is drawn dark and at full brightness: a few odd patches decide no scale. */
const [LOW, HIGH] = [0.01, 0.99]

/**
 * [rows, 3] bytes: red, green and blue by the first three components. A component that is the same everywhere is grey. `by`: those whose
 * range is drawn, by default its own.
 */
export function componentColours(
  { values }: Pick<Components, 'values'>,
  by: Pick<Components, 'values'> = { values },
): Uint8Array {
  const colours = new Uint8Array(3 * (values[0]?.length ?? 0)).fill(128)
  for (const [c, each] of values.slice(0, 3).entries()) {
    const ascending = by.values[c]!.slice().sort()
    const [low, high] = [quantile(ascending, LOW), quantile(ascending, HIGH)]
    if (!(high > low)) continue
    for (const [row, value] of each.entries())
      colours[3 * row + c] = Math.round(255 * Math.min(1, Math.max(0, (value - low) / (high - low))))
  }
  return colours
}
