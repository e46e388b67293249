/** Rows of numbers for the images of a source, batch by batch. What a journal holds is not computed again. */
import { setImmediate } from 'node:timers/promises'
import { interrupted } from '../errors.ts'
import type { BatchJournal, NumberArray } from '../files/batch-journal.ts'
import type { OrderedImages } from '../prepare/loader/in-order.ts'
import type { Pixels } from '../prepare/pixels.ts'
import { joinedParts } from '../prepare/sized-parts.ts'
import { expectUsable, type SkipLimit, type SkippedFile } from '../prepare/skipped.ts'

export interface BatchHead {
  /** Index in the source of each row. */
  readonly indices: readonly number[]
  /** Files that were left out since the batch before. */
  readonly skipped: readonly SkippedFile[]
  /** Since the batch before. */
  readonly seconds: number
}
export type RowJournal = BatchJournal<BatchHead>

interface Reading<Batch> {
  /** The batches behind the one that ends at a position. */
  readonly images: (from: number, onSkip: (file: SkippedFile) => void) => AsyncIterable<Batch>
  readonly onBatch?: ((done: number) => void) | undefined
  /** Called for each skipped file. */
  readonly onSkip?: ((file: SkippedFile) => void) | undefined
  /** With a journal the same work continues after an interruption, to the same numbers: batches are cut at the same places. */
  readonly journal?: RowJournal | undefined
  readonly signal?: AbortSignal | undefined
  /** Of the source; what was skipped before an interruption counts, too. */
  readonly limit: SkipLimit
}

interface EachBatchOptions<Batch, Made extends readonly NumberArray[]> extends Reading<Batch> {
  /** What is kept of a batch. */
  readonly compute: (batch: Batch) => Made | Promise<Made>
  /** Gets what is made now, or was made before the interruption. */
  readonly take: (made: Made, rows: number) => void
}

interface ReadRows {
  /** In the source, of each row. */
  readonly indices: readonly number[]
  /** Sorted by file. */
  readonly skipped: readonly SkippedFile[]
  /** Spent on all batches, earlier attempts included. */
  readonly seconds: number
}

/** Throws `INTERRUPTED` when the signal is aborted, `DATA_BROKEN` when too many files were skipped. */
export async function eachBatch<
  Batch extends { readonly indices: Iterable<number> },
  Made extends readonly NumberArray[],
>({
  images,
  compute,
  take,
  onBatch,
  onSkip,
  journal,
  signal,
  limit,
}: EachBatchOptions<Batch, Made>): Promise<ReadRows> {
  const indices: number[] = []
  const skipped = new Map<string, SkippedFile>()
  let isNew: SkippedFile[] = []
  let total = 0
  let ended = performance.now()
  const skip = (file: SkippedFile) => {
    if (skipped.has(file.file)) return // it was decoded ahead before the interruption
    skipped.set(file.file, file)
    isNew.push(file)
    onSkip?.(file)
  }
  const add = (rows: readonly number[], made: Made) => {
    indices.push(...rows)
    take(made, rows.length)
  }
  for (const entry of journal?.entries ?? []) {
    add(entry.head.indices, entry.arrays as Made)
    entry.head.skipped.forEach(skip)
    total += entry.head.seconds
  }
  isNew = []
  onBatch?.(indices.length) // what was there before: the rate is that of what follows
  const stopped = () =>
    interrupted({ done: indices.length, of: limit.files, continues: journal !== undefined })
  if (signal?.aborted) throw stopped()
  for await (const batch of images((indices.at(-1) ?? -1) + 1, skip)) {
    if (signal?.aborted) throw stopped()
    const made = await compute(batch)
    const rows = [...batch.indices]
    const seconds = (performance.now() - ended) / 1000
    journal?.append({ indices: rows, skipped: isNew, seconds }, ...made)
    isNew = []
    total += seconds
    ended = performance.now()
    add(rows, made)
    onBatch?.(indices.length)
    if (signal) await setImmediate() // signals of the system are heard between batches that are decoded already
  }
  const all = [...skipped.values()].sort((a, b) => (a.file < b.file ? -1 : 1))
  expectUsable(all, limit)
  return { indices, skipped: all, seconds: total }
}

export interface GatherOptions extends Reading<OrderedImages> {
  /** What is kept of images of one size, each [B, width]. */
  readonly compute: (samples: Pixels) => readonly Float32Array[] | Promise<readonly Float32Array[]>
  /** Throws for rows that cannot be kept. */
  readonly check?: (made: readonly Float32Array[], indices: Int32Array) => void
}

export interface GatheredRows extends Omit<ReadRows, 'indices'> {
  readonly indices: Int32Array
  /** [rows, width] */
  readonly parts: readonly Float32Array[]
}

/** All rows in memory. Throws as `eachBatch`. */
export async function gatherRows({ compute, check, ...options }: GatherOptions): Promise<GatheredRows> {
  const parts: Float32Array[][] = []
  const take = (made: readonly Float32Array[]) => {
    for (const [i, part] of made.entries())
      if (parts[i]) parts[i].push(part)
      else parts[i] = [part]
  }
  const { indices, ...rest } = await eachBatch<OrderedImages, readonly Float32Array[]>({
    ...{ ...options, take },
    async compute({ indices, parts }) {
      const made = await joinedParts(parts, compute)
      check?.(made, indices)
      return made
    },
  })
  return { indices: Int32Array.from(indices), parts: parts.map(joined), ...rest }
}

function joined(list: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(list.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of list) {
    all.set(part, at)
    at += part.length
  }
  return all
}
