/** Rows of numbers for the images of a source, batch by batch. What a journal holds is not computed again. */
import { setImmediate } from 'node:timers/promises'
import { interrupted } from '../errors.ts'
import type { BatchJournal } from '../files/batch-journal.ts'
import type { OrderedImages } from '../prepare/loader/in-order.ts'
import { expectUsable, type SkipLimit, type SkippedFile } from '../prepare/skipped.ts'

export interface BatchHead {
  /** Index in the source of each row. */
  readonly indices: readonly number[]
  /** Numbers in a row of each part. */
  readonly widths: readonly number[]
  /** Files that were left out since the batch before. */
  readonly skipped: readonly SkippedFile[]
}
export type RowJournal = BatchJournal<BatchHead>

export interface GatherOptions {
  /** The batches behind the one that ends at a position. */
  readonly images: (from: number, onSkip: (file: SkippedFile) => void) => AsyncIterable<OrderedImages>
  /** The parts of a batch's rows, each [B, width]. Throws if they are not finite. */
  readonly compute: (batch: OrderedImages) => readonly Float32Array[] | Promise<readonly Float32Array[]>
  readonly onBatch?: ((done: number) => void) | undefined
  /** Called for each skipped file. */
  readonly onSkip?: ((file: SkippedFile) => void) | undefined
  /** With a journal the same work continues after an interruption, to the same numbers: batches are cut at the same places. */
  readonly journal?: RowJournal | undefined
  readonly signal?: AbortSignal | undefined
  /** Of the source; what was skipped before an interruption counts, too. */
  readonly limit: SkipLimit
}

export interface GatheredRows {
  readonly indices: Int32Array
  /** [rows, width] */
  readonly parts: readonly Float32Array[]
  /** Sorted by file. */
  readonly skipped: readonly SkippedFile[]
}

/** Throws `INTERRUPTED` when the signal is aborted, `DATA_BROKEN` when too many files were skipped. */
export async function gatherRows({
  images,
  compute,
  onBatch,
  onSkip,
  journal,
  signal,
  limit,
}: GatherOptions): Promise<GatheredRows> {
  const parts: Float32Array[][] = []
  const indices: number[] = []
  const skipped = new Map<string, SkippedFile>()
  let isNew: SkippedFile[] = []
  const skip = (file: SkippedFile) => {
    if (skipped.has(file.file)) return // it was decoded ahead before the interruption
    skipped.set(file.file, file)
    isNew.push(file)
    onSkip?.(file)
  }
  const add = (rows: readonly number[], made: readonly Float32Array[]) => {
    indices.push(...rows)
    for (const [i, part] of made.entries())
      if (parts[i]) parts[i].push(part)
      else parts[i] = [part]
  }
  for (const { head, numbers } of journal?.entries ?? []) {
    const { indices: rows, widths } = head
    const starts = widths.map((_, i) => widths.slice(0, i).reduce((a, b) => a + b, 0) * rows.length)
    add(
      rows,
      starts.map((start, i) => numbers.subarray(start, start + widths[i]! * rows.length)),
    )
    head.skipped.forEach(skip)
  }
  isNew = []
  onBatch?.(indices.length) // what was there before: the rate is that of what follows
  const stopped = () =>
    interrupted({ done: indices.length, of: limit.files, continues: journal !== undefined })
  if (signal?.aborted) throw stopped()
  for await (const batch of images((indices.at(-1) ?? -1) + 1, skip)) {
    if (signal?.aborted) throw stopped()
    const made = await compute(batch)
    const rows = Array.from(batch.indices)
    journal?.append(
      {
        ...{ indices: rows, skipped: isNew },
        widths: made.map(({ length }) => length / rows.length),
      },
      joined(made),
    )
    isNew = []
    add(rows, made)
    onBatch?.(indices.length)
    if (signal) await setImmediate() // signals of the system are heard between batches that are decoded already
  }
  const all = [...skipped.values()].sort((a, b) => (a.file < b.file ? -1 : 1))
  expectUsable(all, limit)
  return { indices: Int32Array.from(indices), parts: parts.map(joined), skipped: all }
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
