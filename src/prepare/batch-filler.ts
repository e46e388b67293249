/**
 * Fills free batch buffers with samples, several at once, and hands the batches over in order whatever the order in
 * which their samples are finished. It runs only as far ahead as it is given buffers: that is the memory bound.
 */
import type { SampleAddress } from './sample-order.ts'
import type { SampleReader } from './sample-reader.ts'

export interface BatchFillerOptions {
  readonly read: SampleReader
  readonly order: (position: number) => SampleAddress
  /** The position of the first sample of the first batch. */
  readonly firstPosition: number
  readonly batchSize: number
  /** height · width · channels. */
  readonly sampleBytes: number
  /** Samples decoded at once. */
  readonly threads: number
  /** By number: the buffers that batches are written to. */
  readonly buffers: readonly SharedArrayBuffer[]
  readonly onBatch: (batch: FilledBatch) => void
  /** Told once, and then nothing more is decoded. */
  readonly onFailure: (error: unknown) => void
}

export interface FilledBatch {
  readonly buffer: number
  /** The addresses of the samples that the batch holds, in row order. */
  readonly epochs: Int32Array
  readonly indices: Int32Array
}

export interface BatchFiller {
  /** Gives a buffer to fill. */
  free(buffer: number): void
  /** Starts nothing new; resolves when what was being decoded is done. */
  stop(): Promise<void>
}

interface OpenBatch extends FilledBatch {
  readonly firstPosition: number
  started: number
  finished: number
}

export function batchFiller(options: BatchFillerOptions): BatchFiller {
  const { batchSize, sampleBytes } = options
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
      firstPosition: position,
      started: 0,
      finished: 0,
    }
    position += batchSize
    open.push(batch)
    return batch
  }

  const fillRow = async (batch: OpenBatch, row: number): Promise<void> => {
    const address = options.order(batch.firstPosition + row)
    const pixels = new Uint8Array(options.buffers[batch.buffer]!, row * sampleBytes, sampleBytes)
    batch.epochs[row] = address.epoch
    batch.indices[row] = await options.read(address, pixels)
    batch.finished++
  }

  const handOver = (): void => {
    while (open[0]?.finished === batchSize) {
      const { buffer, epochs, indices } = open.shift()!
      options.onBatch({ buffer, epochs, indices })
    }
  }

  const pump = (): void => {
    while (!isStopped && decoding.size < options.threads) {
      const batch = openBatch()
      if (!batch) return
      const work = fillRow(batch, batch.started++)
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
