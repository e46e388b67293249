/** Measures the loader of a run without training. */
import { existsSync, readFileSync } from 'node:fs'
import { loaderOptions, objectiveOf, openData, usualStatistics } from '../config/assemble.ts'
import type { Config } from '../config/schema.ts'
import { pause } from '../errors.ts'
import { planMachine } from '../machine/plan.ts'
import { openFeed } from '../prepare/cache/feed.ts'
import { openLoader } from '../prepare/loader/loader.ts'

export interface DataBenchOptions {
  readonly config: Config
  readonly data: string
  /** Batches to time, after those prefetched at the start. */
  readonly batches: number
  readonly onProgress?: ((done: number, of: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface DataBench {
  readonly images: number
  readonly batch: number
  readonly decodeThreads: number
  readonly imagesPerSecond: number
  readonly imagesPerSecondPerThread: number
  /** Seconds between one batch and the next. */
  readonly batchSeconds: { readonly p50: number; readonly p95: number; readonly all: readonly number[] }
  /** Bytes read from files, from the disk or the page cache; null if unknown. */
  readonly bytesRead: number | null
  readonly skipped: number
}

/** The smallest number that at least `share` of them do not exceed. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!
}

/** Of all threads (Linux). */
function bytesReadSoFar(): number | null {
  const io = existsSync('/proc/self/io') ? readFileSync('/proc/self/io', 'utf8') : ''
  const bytes = io.match(/^rchar: (\d+)$/m)?.[1]
  return bytes === undefined ? null : Number(bytes)
}

/** Throws `INTERRUPTED`, and as the loader. */
export async function benchData({
  config,
  data,
  batches,
  onProgress,
  signal,
}: DataBenchOptions): Promise<DataBench> {
  const source = await openData(config, data)
  const plan = planMachine({ ...config.train, workers: config.data.workers })
  const { views } = objectiveOf(config, 'cpu')
  const feed = await openFeed(config.data.kind === 'images' ? config.data.cache : 'none', {
    ...{ loader: loaderOptions(config, source, plan, { views }), views, signal },
    ...{ statistics: usualStatistics(config), device: plan.device },
  })
  const loader = openLoader(feed.loader)
  try {
    // Discard the batches that the thread has prefetched at its start.
    for (let i = 0; i < config.data.prefetchBatches + 2; i++) await loader.next()
    const seconds: number[] = []
    const readBefore = bytesReadSoFar()
    for (let i = 0; i < batches; i++) {
      const asked = performance.now()
      await loader.next()
      seconds.push((performance.now() - asked) / 1000)
      onProgress?.(i + 1, batches)
      await pause(signal, { done: i + 1, of: batches, unit: 'batches', continues: false })
    }
    const readAfter = bytesReadSoFar()
    const rate = (batches * config.train.batchSize) / seconds.reduce((a, b) => a + b, 0)
    return {
      images: source.files.length,
      batch: config.train.batchSize,
      decodeThreads: plan.decodeThreads,
      imagesPerSecond: rate,
      imagesPerSecondPerThread: rate / plan.decodeThreads,
      batchSeconds: { p50: quantile(seconds, 0.5), p95: quantile(seconds, 0.95), all: seconds },
      bytesRead: readBefore === null || readAfter === null ? null : readAfter - readBefore,
      skipped: loader.skipped.length,
    }
  } finally {
    await loader.close()
    feed.close()
  }
}
