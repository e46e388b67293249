/** How good predictions are: top-1, top-5, by class, and what was taken for what. */
import { SherdError } from '../errors.ts'

export interface ClassScores {
  readonly name: string
  readonly images: number
  /** Of its images, how many were found. */
  readonly recall: number
  /** Of the images that were taken for it, how many are; null when none was. */
  readonly precision: number | null
}

export interface Scores {
  readonly images: number
  readonly top1: number
  /** Null for up to five classes. */
  readonly top5: number | null
  /** The mean of the classes' recalls: top-1 as if all classes had the same number of images. */
  readonly meanRecall: number
  readonly classes: readonly ClassScores[]
  /** [class][predicted]: numbers of images. */
  readonly confusion: readonly (readonly number[])[]
}

/** The places of the largest `count` values of each row of [rows, columns], largest first; of equal ones the first. */
export function largestOf(values: Float32Array | Float64Array, columns: number, count: number): Int32Array {
  const rows = values.length / columns
  const kept = Math.min(count, columns)
  const places = new Int32Array(rows * kept)
  for (let row = 0; row < rows; row++) {
    const order = Array.from({ length: columns }, (_, i) => i).sort(
      (a, b) => values[row * columns + b]! - values[row * columns + a]! || a - b,
    )
    places.set(order.slice(0, kept), row * kept)
  }
  return places
}

/** Scores of class values [images, classes]: the larger, the likelier. */
export function scoresOf(
  values: Float32Array | Float64Array,
  labels: Int32Array,
  names: readonly string[],
): Scores {
  const count = names.length
  if (values.length !== labels.length * count)
    throw new SherdError(
      'SHAPE',
      `scoresOf: expected ${labels.length} × ${count} values, got ${values.length}`,
    )
  const best = largestOf(values, count, 5)
  const width = Math.min(5, count)
  const confusion = names.map(() => names.map(() => 0))
  let inFive = 0
  for (const [i, label] of labels.entries()) {
    const found = best.subarray(i * width, (i + 1) * width)
    confusion[label]![found[0]!]!++
    if (found.includes(label)) inFive++
  }
  const classes = names.map((name, label): ClassScores => {
    const images = confusion[label]!.reduce((a, b) => a + b, 0)
    const taken = confusion.reduce((total, row) => total + row[label]!, 0)
    const right = confusion[label]![label]!
    return { name, images, recall: images ? right / images : 0, precision: taken ? right / taken : null }
  })
  const right = classes.reduce((total, _, label) => total + confusion[label]![label]!, 0)
  const present = classes.filter(({ images }) => images > 0)
  return {
    images: labels.length,
    top1: right / labels.length,
    top5: count > 5 ? inFive / labels.length : null,
    meanRecall: present.reduce((total, { recall }) => total + recall, 0) / present.length,
    classes,
    confusion,
  }
}

export interface MeanAndDeviation {
  readonly mean: number
  /** Of the sample (n − 1); 0 for one value. */
  readonly deviation: number
}

export function meanAndDeviation(values: readonly number[]): MeanAndDeviation {
  const mean = values.reduce((a, b) => a + b, 0) / values.length
  const squares = values.reduce((total, x) => total + (x - mean) ** 2, 0)
  return { mean, deviation: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0 }
}
