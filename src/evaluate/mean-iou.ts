/** Mean intersection over union and pixel accuracy. */
import type { MeanAndDeviation } from './scores.ts'

export interface ClassOverlap {
  readonly name: string
  /** Share of the labelled pixels. */
  readonly share: number
  /** |predicted ∩ true| / |predicted ∪ true|; null if the class is in neither. */
  readonly iou: number | null
  /** Recall of its pixels; null without any. */
  readonly accuracy: number | null
  /** Null if the class was never predicted. */
  readonly precision: number | null
}

export interface Overlap {
  readonly pixels: number
  /** Over the classes with an IoU (Everingham et al. 2015, section 3.3). */
  readonly meanIou: number
  readonly pixelAccuracy: number
  readonly meanAccuracy: number
  readonly classes: readonly ClassOverlap[]
}

const mean = (values: readonly (number | null)[]) => {
  const there = values.filter((value) => value !== null)
  return there.length > 0 ? there.reduce((a, b) => a + b, 0) / there.length : 0
}

/** `confusion`: pixels by [class][predicted]. */
export function overlapOf(confusion: readonly (readonly number[])[], names: readonly string[]): Overlap {
  const sumOf = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)
  const pixels = sumOf(confusion.map(sumOf))
  const classes = names.map((name, label): ClassOverlap => {
    const own = sumOf(confusion[label]!)
    const taken = sumOf(confusion.map((row) => row[label]!))
    const both = confusion[label]![label]!
    const union = own + taken - both
    return {
      name,
      share: pixels ? own / pixels : 0,
      iou: union ? both / union : null,
      accuracy: own ? both / own : null,
      precision: taken ? both / taken : null,
    }
  })
  return {
    pixels,
    meanIou: mean(classes.map(({ iou }) => iou)),
    pixelAccuracy: pixels ? sumOf(names.map((_, label) => confusion[label]![label]!)) / pixels : 0,
    meanAccuracy: mean(classes.map(({ accuracy }) => accuracy)),
    classes,
  }
}

export interface OverlapSummary {
  readonly meanIou: MeanAndDeviation
  readonly pixelAccuracy: MeanAndDeviation
  readonly meanAccuracy: MeanAndDeviation
}
