/** The vectors of a source's images: from the existing index where the files are unchanged, else embedded by the model. */
import { createHash } from 'node:crypto'
import { readingConfig } from '../config/reading.ts'
import { SherdError } from '../errors.ts'
import { expectUsable, type SkippedFile } from '../prepare/skipped.ts'
import { statesOf } from '../source/file-state.ts'
import type { ImageSource } from '../source/open.ts'
import { subsetOf } from '../source/subset.ts'
import type { VectorFeature } from '../token/feature.ts'
import type { Progress, ReadingOptions } from '../weights/folder-features.ts'
import { valuesOf } from '../weights/frozen-encoder.ts'
import type { RowJournal } from '../weights/gather-rows.ts'
import type { Embedder } from './embedder.ts'
import type { ImageIndex, IndexContent } from './index-folder.ts'
import { rowOf, unitVectors } from './vectors/unit-vectors.ts'

export interface ChangedVectors extends Omit<IndexContent, 'facts'> {
  /** Images embedded now. */
  readonly embedded: number
  /** Images of the existing index that are gone or unreadable. */
  readonly removed: number
}

export interface ChangedOptions {
  readonly pooling: VectorFeature
  readonly before: ImageIndex | null
  readonly onProgress?: Progress | undefined
  readonly signal?: AbortSignal | undefined
  /** Runs work with the journal of this name, so that it can be continued. */
  readonly journaled?: Journaled | undefined
}

export type Journaled = <T>(name: string, body: (journal: RowJournal) => Promise<T>) => Promise<T>

/** The journal of files in these states: with others there is another one. */
const journalName = (files: readonly string[], states: readonly string[], asked: readonly number[]) =>
  `batches-${createHash('sha256')
    .update(asked.map((i) => `${files[i]}\0${states[i]}`).join('\n'))
    .digest('hex')
    .slice(0, 12)}`

/** Throws `DATA_BROKEN` if more files are unreadable than the model's configuration allows, `VALUE` for non-finite vectors. */
export async function changedVectors(
  source: ImageSource,
  embedder: Embedder,
  { pooling, before, onProgress, signal, journaled }: ChangedOptions,
): Promise<ChangedVectors> {
  const { files, labels } = source
  const states = statesOf(source)
  const { rows, broken, asked } = compare(source, states, before)
  const skippedNow: SkippedFile[] = []
  const embedded = (journal?: RowJournal) =>
    embed(source, asked, embedder, {
      ...{ pooling, onProgress, signal, journal, maxSkippedShare: 1 },
      onSkip: (file) => skippedNow.push(file),
    })
  const made = await (journaled ? journaled(journalName(files, states, asked), embedded) : embedded())
  const state = new Map(files.map((file, i) => [file, states[i]!]))
  const skipped = [...broken, ...skippedNow.map((each) => ({ ...each, state: state.get(each.file) ?? '' }))]
  const { maxSkippedShare, corrupt } = readingConfig(embedder).data
  expectUsable(skipped, { files: files.length, maxShare: maxSkippedShare, corrupt })

  const { width } = embedder.featureOf(pooling)
  const fresh = unitVectors({ ...made, width }, (row) => files[made.indices[row]!]!)
  if (before && width !== before.vectors.width)
    throw new SherdError(
      'RUN',
      `The model gives ${width} numbers, and ${before.dir} holds ${before.vectors.width}.`,
    )
  const freshRow = new Map(Array.from(made.indices, (index, row) => [index, row]))
  const kept = [...files.keys()].filter((i) => freshRow.has(i) || rows[i]! >= 0)
  const values = new Float32Array(kept.length * width)
  for (const [to, i] of kept.entries()) {
    const row = freshRow.get(i)
    values.set(row === undefined ? rowOf(before!.vectors, rows[i]!) : rowOf(fresh, row), to * width)
  }
  const images = kept.map((i) => ({
    ...{ file: files[i]!, state: states[i]! },
    ...(labels && { label: labels[i]! }),
  }))
  const names = new Set(images.map(({ file }) => file))
  return {
    ...{ images, vectors: { count: kept.length, width, values }, embedded: made.count },
    skipped: skipped.sort((a, b) => (a.file < b.file ? -1 : 1)),
    removed: before ? before.images.filter(({ file }) => !names.has(file)).length : 0,
  }
}

/** Which files are unchanged. A pack changes as a whole. */
function compare(source: ImageSource, states: readonly string[], before: ImageIndex | null) {
  const { files } = source
  const knownBroken = new Map(before?.skipped.map((each) => [each.file, each]))
  const isBroken = files.map((file, i) => states[i] !== '' && knownBroken.get(file)?.state === states[i])
  const rows = files.map((file, i) => {
    const row = before?.rows.get(file) ?? -1
    return row >= 0 && states[i] !== '' && before!.images[row]!.state === states[i] ? row : -1
  })
  const changed = [...files.keys()].filter((i) => rows[i]! < 0 && !isBroken[i])
  if (source.kind === 'packed' && changed.length > 0)
    return { rows: files.map(() => -1), broken: [], asked: [...files.keys()] }
  const broken = files.filter((_, i) => isBroken[i]).map((file) => knownBroken.get(file)!)
  return { rows, broken, asked: changed }
}

interface EmbedOptions extends ReadingOptions {
  readonly pooling: VectorFeature
  readonly onSkip: (file: SkippedFile) => void
}

/** The vectors of some images, by their index in the source. Empty if none can be read: `onSkip` has reported them. */
async function embed(
  source: ImageSource,
  asked: readonly number[],
  embedder: Embedder,
  { pooling, ...options }: EmbedOptions,
) {
  const nothing = { count: 0, indices: new Int32Array(0), values: new Float32Array(0) }
  if (asked.length === 0) return nothing
  const part = asked.length === source.files.length ? source : subsetOf(source, asked)
  let left = asked.length
  const onSkip = (file: SkippedFile) => {
    left--
    options.onSkip(file)
  }
  try {
    const { features } = await embedder.features(part, { ...options, features: [pooling], onSkip })
    const { count, indices } = features
    const { values } = valuesOf(features, pooling)
    return { count, values, indices: indices.map((index) => asked[index]!) }
  } catch (error) {
    if (left === 0 && error instanceof SherdError && error.code === 'DATA_BROKEN') return nothing
    throw error
  }
}
