// How well a linear model tells classes apart: whether a sample set is a task, and not too easy a one.

export interface Labelled {
  readonly features: Float64Array
  readonly label: number
}

/** In place: the Cholesky factor L of a symmetric positive matrix of side n, in its lower triangle. */
function cholesky(matrix: Float64Array, n: number): Float64Array {
  for (let j = 0; j < n; j++)
    for (let i = j; i < n; i++) {
      let sum = matrix[i * n + j]!
      for (let k = 0; k < j; k++) sum -= matrix[i * n + k]! * matrix[j * n + k]!
      matrix[i * n + j] = i === j ? Math.sqrt(sum) : sum / matrix[j * n + j]!
    }
  return matrix
}

function solve(factor: Float64Array, right: Float64Array): Float64Array {
  const n = right.length
  const x = right.slice()
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) x[i] = x[i]! - factor[i * n + k]! * x[k]!
    x[i] = x[i]! / factor[i * n + i]!
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) x[i] = x[i]! - factor[k * n + i]! * x[k]!
    x[i] = x[i]! / factor[i * n + i]!
  }
  return x
}

/** Best test accuracy over three strengths of one-vs-all ridge regression on standardised features. */
export function ridgeAccuracy({
  train,
  test,
}: {
  train: readonly Labelled[]
  test: readonly Labelled[]
}): number {
  const width = train[0]!.features.length
  const mean = new Float64Array(width)
  const deviation = new Float64Array(width)
  for (const { features } of train)
    for (let k = 0; k < width; k++) mean[k] = mean[k]! + features[k]! / train.length
  for (const { features } of train)
    for (let k = 0; k < width; k++)
      deviation[k] = deviation[k]! + (features[k]! - mean[k]!) ** 2 / train.length
  const standard = ({ features }: Labelled) =>
    Float64Array.from({ length: width + 1 }, (_, k) =>
      k === width ? 1 : (features[k]! - mean[k]!) / Math.sqrt(deviation[k]! + 1e-9),
    )
  const rows = train.map(standard)
  const testRows = test.map(standard)
  const n = width + 1
  const gram = new Float64Array(n * n)
  for (const row of rows)
    for (let i = 0; i < n; i++) {
      const value = row[i]!
      for (let j = 0; j <= i; j++) gram[i * n + j] = gram[i * n + j]! + value * row[j]!
    }
  const classes = [...new Set(train.map(({ label }) => label))].sort((a, b) => a - b)
  const accuracies = [0.02, 0.2, 2].map((strength) => {
    const matrix = gram.slice()
    for (let i = 0; i < width; i++) matrix[i * n + i] = matrix[i * n + i]! + strength * train.length
    const factor = cholesky(matrix, n)
    const weights = classes.map((label) => {
      const right = new Float64Array(n)
      for (const [s, row] of rows.entries()) {
        const wanted = train[s]!.label === label ? 1 : -1
        for (let i = 0; i < n; i++) right[i] = right[i]! + wanted * row[i]!
      }
      return solve(factor, right)
    })
    const right = testRows.filter((row, s) => {
      const scores = weights.map((w) => w.reduce((sum, value, i) => sum + value * row[i]!, 0))
      return classes[scores.indexOf(Math.max(...scores))] === test[s]!.label
    })
    return right.length / test.length
  })
  return Math.max(...accuracies)
}
