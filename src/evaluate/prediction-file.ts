/** Writes a classifier's predictions as `.csv` or `.json`. */
import { csv } from '../files/csv.ts'
import { endingOf, writeWhole } from '../files/write-whole.ts'
import type { FolderLogits } from '../weights/folder-logits.ts'
import type { ModelOrigin } from '../weights/open-encoder.ts'
import { largestOf } from './scores.ts'

const formats = ['.csv', '.json'] as const
export type PredictionFormat = (typeof formats)[number]

/** Throws `USAGE` for other endings. */
export const predictionFormat = (path: string): PredictionFormat => endingOf(path, formats)

export interface Guess {
  readonly class: string
  readonly probability: number
}

export interface ImagePrediction {
  readonly file: string
  /** The image's folder, if folders are classes. */
  readonly label: string | null
  /** Likeliest first. */
  readonly top: readonly Guess[]
}

const MOST = 5 // classes per image

/** exp(x) / Σ exp(x), in float64. */
export function softmaxOf(logits: ArrayLike<number>): number[] {
  const largest = Math.max(...Array.from(logits))
  const powers = Array.from(logits, (x) => Math.exp(x - largest))
  const sum = powers.reduce((a, b) => a + b, 0)
  return powers.map((power) => power / sum)
}

const sigmoidOf = (logits: ArrayLike<number>): number[] => Array.from(logits, (x) => 1 / (1 + Math.exp(-x)))

export function predictionsOf({
  source,
  classes,
  isMultiLabel,
  indices,
  logits,
}: FolderLogits): ImagePrediction[] {
  const best = largestOf(logits, classes.length, MOST)
  const kept = Math.min(MOST, classes.length)
  return Array.from(indices, (index, row) => {
    const own = logits.subarray(row * classes.length, (row + 1) * classes.length)
    const probabilities = isMultiLabel ? sigmoidOf(own) : softmaxOf(own)
    const label = source.labels ? source.classes[source.labels[index]!]! : null
    const top = Array.from(best.subarray(row * kept, (row + 1) * kept), (place) => ({
      ...{ class: classes[place]!, probability: probabilities[place]! },
    }))
    return { file: source.files[index]!, label, top }
  })
}

/** Accuracy by the images' folders; null if these are not classes of the model. */
export function agreementOf(
  predictions: readonly ImagePrediction[],
  classes: readonly string[],
): { readonly right: number; readonly of: number } | null {
  const known = predictions.filter(({ label }) => label !== null && classes.includes(label))
  if (known.length === 0) return null
  return { right: known.filter(({ label, top }) => top[0]!.class === label).length, of: known.length }
}

/** A row for each image: file, label if known, and class and probability of the likeliest. */
export function predictionTable(predictions: readonly ImagePrediction[]): string {
  const hasLabels = predictions.some(({ label }) => label !== null)
  const most = Math.max(0, ...predictions.map(({ top }) => top.length))
  const names = Array.from({ length: most }, (_, i) => (i === 0 ? '' : `_${i + 1}`))
  const header = [
    ...['file', ...(hasLabels ? ['label'] : [])],
    ...names.flatMap((suffix) => [`class${suffix}`, `probability${suffix}`]),
  ]
  const rows = predictions.map(({ file, label, top }) => [
    ...[file, ...(hasLabels ? [label ?? ''] : [])],
    ...top.flatMap((guess) => [guess.class, guess.probability.toPrecision(6)]),
  ])
  return csv([header, ...rows])
}

export interface PredictionFileOptions {
  readonly model: ModelOrigin
  readonly predictions: readonly ImagePrediction[]
}

/** Throws `RUN`. */
export function writePredictions(
  path: string,
  { source, classes, isMultiLabel = false, skipped }: FolderLogits,
  { model, predictions }: PredictionFileOptions,
): void {
  const { dir } = source
  const images = predictions.map(({ label, ...rest }) => ({ ...rest, ...(label !== null && { label }) }))
  const report = { format: 'sherd-predictions/1', model, dir, classes, isMultiLabel, images, skipped }
  writeWhole(
    path,
    predictionFormat(path) === '.csv' ? predictionTable(predictions) : `${JSON.stringify(report)}\n`,
  )
}
