/** Scores of classification: top-1, top-5; recall, precision and F1 by class; confusion. */
import { SherdError } from '../errors.ts'

export interface ClassScores {
  readonly name: string
  readonly images: number
  readonly recall: number
  /** Null if the class was never predicted. */
  readonly precision: number | null
  /** 2 · right / (images + times predicted); null if the class has no image and was never predicted. */
  readonly f1: number | null
}

export interface Scores {
  readonly images: number
  readonly top1: number
  /** Null for up to five classes. */
  readonly top5: number | null
  /** Balanced accuracy: the mean of the classes' recalls. */
  readonly meanRecall: number
  /** The mean of the classes' F1. */
  readonly macroF1: number
  readonly classes: readonly ClassScores[]
  /** Images by [class][predicted]. */
  readonly confusion: readonly (readonly number[])[]
}

/** Indices of the `count` largest values of each row of [rows, columns], largest first, ties by index. */
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

/** `values` [images, classes]: larger is likelier. */
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
    return {
      ...{ name, images, recall: images ? right / images : 0, precision: taken ? right / taken : null },
      f1: images + taken ? (2 * right) / (images + taken) : null,
    }
  })
  const right = classes.reduce((total, _, label) => total + confusion[label]![label]!, 0)
  const present = classes.filter(({ images }) => images > 0)
  const measured = classes.flatMap(({ f1 }) => f1 ?? [])
  return {
    images: labels.length,
    top1: right / labels.length,
    top5: count > 5 ? inFive / labels.length : null,
    meanRecall: present.reduce((total, { recall }) => total + recall, 0) / present.length,
    macroF1: measured.reduce((a, b) => a + b, 0) / measured.length,
    classes,
    confusion,
  }
}

/** Top-1 of always predicting the commonest class of the training images. */
export function chanceOf(train: Int32Array, test: Int32Array, classes: number): number {
  const counts = new Int32Array(classes)
  for (const label of train) counts[label]!++
  const commonest = counts.indexOf(Math.max(...counts))
  return test.filter((label) => label === commonest).length / test.length
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
