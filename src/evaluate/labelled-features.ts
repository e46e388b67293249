/** Features with labels: checks, splits and few-shot subsets. */
import { SherdError } from '../errors.ts'
import { draws } from '../random/draws.ts'
import type { ImageSource } from '../source/open.ts'
import type { VectorFeature } from '../token/feature.ts'
import { type Features, valuesOf } from '../weights/frozen-encoder.ts'

/** Vectors [count, width] and their classes. */
export interface Labelled {
  readonly count: number
  readonly width: number
  readonly vectors: Float32Array
  readonly labels: Int32Array
}

const list = (names: readonly string[]) =>
  names.length > 8 ? `${names.slice(0, 8).join(', ')}, … (${names.length})` : names.join(', ')

/** The labels and classes of a source. Throws `SOURCE` without labels or with a single class. */
export function expectLabels({ dir, labels, classes }: ImageSource): {
  labels: Int32Array
  classes: readonly string[]
} {
  if (!labels)
    throw new SherdError(
      'SOURCE',
      `${dir} has no labels: expected a folder for each class with its images in it, but images lie in ${dir} itself.`,
    )
  if (classes.length < 2)
    throw new SherdError(
      'SOURCE',
      `${dir} has one class, "${classes[0]}": expected at least two folders, one for each class. If these are the folders of a split, name them train and test, or give them with --train and --test.`,
    )
  return { labels, classes }
}

/** Throws `SOURCE` if the classes of test and training images differ. */
export function expectSameClasses(train: ImageSource, test: ImageSource): void {
  const missing = train.classes.filter((name) => !test.classes.includes(name))
  const extra = test.classes.filter((name) => !train.classes.includes(name))
  if (missing.length === 0 && extra.length === 0) return
  throw new SherdError(
    'SOURCE',
    [
      `The classes differ: ${train.dir} has ${train.classes.length}, ${test.dir} has ${test.classes.length}.`,
      ...(missing.length > 0 ? [`Only for training: ${list(missing)}.`] : []),
      ...(extra.length > 0 ? [`Only for testing: ${list(extra)}.`] : []),
      'Both need the same folders.',
    ].join(' '),
  )
}

/** Some rows of a feature, with their labels. */
export function labelled(
  features: Features,
  name: VectorFeature,
  labels: Int32Array,
  rows: readonly number[],
): Labelled {
  const { width, values: vectors } = valuesOf(features, name)
  const ofRows = Int32Array.from(features.indices, (index) => labels[index]!)
  return pickRows({ vectors, width, labels: ofRows }, rows)
}

/** Rows grouped by place; without places each row is its own group. */
function byPlace(rows: readonly number[], places: readonly string[] | null): number[][] {
  if (!places) return rows.map((row) => [row])
  const lists = new Map<string, number[]>()
  for (const row of rows) {
    const list = lists.get(places[row]!) ?? []
    list.push(row)
    lists.set(places[row]!, list)
  }
  return [...lists.values()]
}

/**
 * Stratified split: `share` of each class, at least one image, goes to the second part. Images of one place stay together, since they
 * show the same ground. Throws `SOURCE` if a class has only one image or one place.
 */
export function splitByClass(
  labels: Int32Array,
  classes: readonly string[],
  { share, seed, places }: { share: number; seed: number; places?: readonly string[] | null },
): readonly [first: number[], second: number[]] {
  const members: number[][] = classes.map(() => [])
  for (const [i, label] of labels.entries()) members[label]!.push(i)
  const parts: [number[], number[]] = [[], []]
  for (const [label, rows] of members.entries()) {
    if (rows.length < 2)
      throw new SherdError(
        'SOURCE',
        `Class "${classes[label]}" has ${rows.length} readable image${rows.length === 1 ? '' : 's'}: expected at least two, one to learn from and one to test with.`,
      )
    const together = byPlace(rows, places ?? null)
    if (together.length < 2)
      throw new SherdError(
        'SOURCE',
        `Class "${classes[label]}" has images of one place only, ${places![rows[0]!]}: expected at least two places, one to learn from and one to test with.`,
      )
    const order = draws({ seed, stream: 'split', epoch: 0, index: label }).permutation(together.length)
    const held = Math.min(rows.length - 1, Math.max(1, Math.round(rows.length * share)))
    let given = 0
    for (const [i, which] of order.entries()) {
      const own = together[which]!
      const isHeld = i === 0 || (given < held && i < together.length - 1)
      if (isHeld) given += own.length
      parts[isHeld ? 1 : 0].push(...own)
    }
  }
  return [parts[0].sort((a, b) => a - b), parts[1].sort((a, b) => a - b)]
}

/** Training images per class: a share or a number. */
export type Shots = { readonly share: number } | { readonly perClass: number }

/** `1 %`, or `5 per class`. */
export const shotsName = (shots: Shots): string =>
  'share' in shots ? `${Number((100 * shots.share).toPrecision(6))} %` : `${shots.perClass} per class`

/** Rows of a few-shot set, drawn class by class, at least one each. Throws `SOURCE` if a class has too few. */
export function fewRows(
  labels: Int32Array,
  classes: number,
  { shots, seed }: { shots: Shots; seed: number },
): number[] {
  const members: number[][] = Array.from({ length: classes }, () => [])
  for (const [i, label] of labels.entries()) members[label]!.push(i)
  const rows = members.flatMap((of, label) => {
    const count = 'share' in shots ? Math.max(1, Math.round(of.length * shots.share)) : shots.perClass
    if (count > of.length)
      throw new SherdError(
        'SOURCE',
        `${shotsName(shots)} were asked for, but class ${label} has ${of.length} training images. Take fewer with --shots.`,
      )
    const order = draws({ seed, stream: 'shots', epoch: 0, index: label }).permutation(of.length)
    return [...order.subarray(0, count)].map((place) => of[place]!)
  })
  return rows.sort((a, b) => a - b)
}

/** Throws `SOURCE`. */
export const fewOf = (set: Labelled, classes: number, options: { shots: Shots; seed: number }): Labelled =>
  pickRows(set, fewRows(set.labels, classes, options))

function pickRows(
  { vectors, labels, width }: Pick<Labelled, 'vectors' | 'labels' | 'width'>,
  rows: readonly number[],
): Labelled {
  const picked = new Float32Array(rows.length * width)
  for (const [i, row] of rows.entries())
    picked.set(vectors.subarray(row * width, (row + 1) * width), i * width)
  return { count: rows.length, width, vectors: picked, labels: Int32Array.from(rows, (row) => labels[row]!) }
}
