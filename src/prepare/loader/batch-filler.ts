/**
 * Fills free batch buffers with samples, several concurrently, and delivers batches in order. It works only as far ahead as it has
 * free buffers, which bounds the memory.
 */

import { type FieldSpecs, type OpenFields, openFields } from '../fields.ts'
import type { SampleReader } from '../sample-reader.ts'
import type { SampleAddress } from './sample-order.ts'

export interface BatchFillerOptions {
  readonly read: SampleReader
  readonly order: (position: number) => SampleAddress
  /** The position of the first sample of the first batch. */
  readonly firstPosition: number
  readonly batchSize: number
  readonly specs: FieldSpecs
  /** Samples per call, at most a batch. */
  readonly together: number
  /** Concurrent calls. */
  readonly atOnce: number
  /** The buffers of batches, by number. */
  readonly buffers: readonly SharedArrayBuffer[]
  readonly onBatch: (batch: FilledBatch) => void
  /** Called once; nothing is decoded afterwards. */
  readonly onFailure: (error: unknown) => void
}

export interface FilledBatch {
  readonly buffer: number
  /** The addresses of the samples that the batch holds, in row order. */
  readonly epochs: Int32Array
  readonly indices: Int32Array
}

export interface BatchFiller {
  /** Returns a buffer to be filled. */
  free(buffer: number): void
  /** Starts nothing new; resolves when current decoding has finished. */
  stop(): Promise<void>
}

interface OpenBatch extends FilledBatch {
  readonly fields: OpenFields
  /** Called when all samples are there. */
  readonly close: () => void
  readonly firstPosition: number
  started: number
  finished: number
}

export function batchFiller(options: BatchFillerOptions): BatchFiller {
  const { batchSize, specs } = options
  const free: number[] = []
  const open: OpenBatch[] = []
  const decoding = new Set<Promise<void>>()
  let position = options.firstPosition
  let isStopped = false

  const openBatch = (): OpenBatch | undefined => {
    const last = open.at(-1)
    if (last && last.started < batchSize) return last
    const buffer = free.shift()
    if (buffer === undefined) return undefined
    const addresses = () => new Int32Array(batchSize)
    const batch = {
      buffer,
      epochs: addresses(),
      indices: addresses(),
      ...openFields(specs, batchSize, options.buffers[buffer]!),
      firstPosition: position,
      started: 0,
      finished: 0,
    }
    position += batchSize
    open.push(batch)
    return batch
  }

  /** Fills the next rows of a batch. */
  const fillRows = async (batch: OpenBatch): Promise<void> => {
    const row = batch.started
    const rows = Math.min(options.together, batchSize - row)
    batch.started += rows
    const addresses = Array.from({ length: rows }, (_, i) => options.order(batch.firstPosition + row + i))
    batch.epochs.set(
      addresses.map(({ epoch }) => epoch),
      row,
    )
    batch.indices.set(await options.read(addresses, batch.fields, row), row)
    batch.finished += rows
  }

  const handOver = (): void => {
    while (open[0]?.finished === batchSize) {
      const { buffer, epochs, indices, close } = open.shift()!
      close()
      options.onBatch({ buffer, epochs, indices })
    }
  }

  const pump = (): void => {
    while (!isStopped && decoding.size < options.atOnce) {
      const batch = openBatch()
      if (!batch) return
      const work = fillRows(batch)
        .then(handOver)
        .catch((error: unknown) => {
          if (!isStopped) options.onFailure(error)
          isStopped = true
        })
        .then(() => {
          decoding.delete(work)
          pump()
        })
      decoding.add(work)
    }
  }

  return {
    free(buffer) {
      free.push(buffer)
      pump()
    },
    async stop() {
      isStopped = true
      await Promise.all(decoding)
    },
  }
}
