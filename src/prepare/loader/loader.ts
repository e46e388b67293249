/**
 * Batches of samples, decoded ahead of training in one other thread, within a fixed amount of memory. What a batch
 * holds depends on the source, the seed and its position alone; `firstPosition` therefore resumes a run exactly.
 */
import { SherdError } from '../../errors.ts'
import { isSeed } from '../../random/draws.ts'
import type { ImageSource } from '../../source/open.ts'
import type { PlacedImages } from '../cache/placed-reader.ts'
import { bytesOfFields, type Fields, readFields } from '../fields.ts'
import { type SampleSettings, viewsOfSamples } from '../sample-reader.ts'
import type { SkippedFile } from '../skipped.ts'
import { copiesOf, fieldsOfViews } from '../view-spec.ts'
import type { FilledBatch } from './batch-filler.ts'
import type { FromWorker } from './decode-messages.ts'
import { decodeWorkerFile, startDecodeThread } from './decode-thread.ts'
import type { Reader } from './sample-order.ts'

export interface LoaderOptions extends SampleSettings {
  readonly source: ImageSource | PlacedImages
  readonly batchSize: number
  /** Samples already consumed: the first batch begins at this position of the endless stream. */
  readonly firstPosition: number
  /** The largest share of the source's files that may be skipped as undecodable before the run must stop; 0.01. */
  readonly maxSkippedShare: number
  /** Images decoded at once. More than 4 need UV_THREADPOOL_SIZE in the environment that starts the process. */
  readonly decodeThreads: number
  /** Batches decoded ahead. The loader holds `prefetchBatches + 1` batches of pixels in memory, never more. */
  readonly prefetchBatches: number
  /** Default true. */
  readonly shuffle?: boolean
  /** Which of several processes this is; positions are its own. Default: the only one. */
  readonly reader?: Reader
  /** Called once for each skipped file. If it throws, the next `next()` rejects. */
  readonly onSkip?: (skipped: SkippedFile) => void
}

export interface Batch {
  readonly size: number
  /** What the views fill (view-spec.ts). Valid until the next call of `next()` or `close()`, then overwritten. */
  readonly fields: Fields
  /** [size] The epoch of each sample. */
  readonly epochs: Int32Array
  /** [size] The index in the source of each sample, of the substitute where there is one: addresses its other draws. */
  readonly indices: Int32Array
  /** [size], or null when the source has no labels. */
  readonly labels: Int32Array | null
}

export interface Loader {
  /**
   * The next batch; it makes the one before invalid. Batches never end. One call at a time.
   *
   * Rejects with `DATA_BROKEN` when too many files cannot be decoded (after the batches that were ready), with `RUN`
   * when the decoding thread died, with `VALUE` after `close` or before the last call has settled.
   */
  next(): Promise<Batch>
  /** Files skipped so far, including those of batches that are not yet delivered. */
  readonly skipped: readonly SkippedFile[]
  /** Ends the decoding thread. May be called at any time and again; a waiting `next()` rejects. */
  close(): Promise<void>
}

interface Caller {
  readonly resolve: (batch: Batch) => void
  readonly reject: (error: unknown) => void
}

/**
 * Starts decoding `source` in its own thread. An idle loader does not keep the process alive.
 *
 * Throws `VALUE` for options that make no sense and `ENGINE_BUILD` when sherd was not compiled. `workerFile` is the
 * thread's program; tests give their own.
 */
export function openLoader(options: LoaderOptions, workerFile = decodeWorkerFile()): Loader {
  checkOptions(options)
  const { source, batchSize, prefetchBatches } = options
  const { labels: _labels, classes: _classes, ...readable } = source // not needed by the thread
  const specs = fieldsOfViews(viewsOfSamples(options), options)
  const bytes = bytesOfFields(specs, batchSize)
  const buffers = Array.from({ length: prefetchBatches + 1 }, () => new SharedArrayBuffer(bytes))

  const skipped: SkippedFile[] = []
  const ready: FilledBatch[] = []
  let caller: Caller | null = null
  let failure: { readonly error: unknown } | null = null
  let closing: { readonly ended: Promise<void> } | null = null
  // The buffer that the caller may be reading. One counts as such before the first call, so that the bound always holds.
  let lent: number | null = prefetchBatches

  const batchOf = ({ buffer, epochs, indices }: FilledBatch): Batch => {
    const labels = source.labels && indices.map((index) => source.labels![index]!)
    const fields = readFields(specs, batchSize, buffers[buffer]!)
    return { size: batchSize, fields, epochs, indices, labels }
  }
  const serve = (): void => {
    if (!caller || (ready.length === 0 && !failure)) return
    const { resolve, reject } = caller
    caller = null
    thread.keepAlive(false)
    const filled = ready.shift()
    lent = filled?.buffer ?? null
    if (filled) resolve(batchOf(filled))
    else reject(failure?.error)
  }
  const fail = (error: unknown): void => {
    failure ??= { error }
    serve()
  }
  const receive = (message: FromWorker): void => {
    if (message.kind === 'failure') fail(new SherdError(message.code, message.message))
    else if (message.kind === 'batch') {
      ready.push(message.batch)
      serve()
    } else {
      skipped.push(message.skipped)
      try {
        options.onSkip?.(message.skipped)
      } catch (error) {
        fail(error)
      }
    }
  }
  const thread = startDecodeThread(
    {
      source: readable,
      settings: settingsOf(options),
      batchSize,
      firstPosition: options.firstPosition,
      shuffle: options.shuffle ?? true,
      reader: options.reader ?? { rank: 0, world: 1 },
      decodeThreads: options.decodeThreads,
      maxSkippedShare: options.maxSkippedShare,
      buffers,
    },
    receive,
    workerFile,
  )
  for (let buffer = 0; buffer < prefetchBatches; buffer++) thread.free(buffer)

  return {
    skipped,
    async next() {
      if (closing) throw new SherdError('VALUE', 'next: this loader is closed. Open another one.')
      if (caller) throw new SherdError('VALUE', 'next: the last call has not settled yet. Await it first.')
      if (lent !== null) thread.free(lent)
      lent = null
      return new Promise<Batch>((resolve, reject) => {
        caller = { resolve, reject }
        thread.keepAlive(true)
        serve()
      })
    },
    async close() {
      if (!closing) {
        ready.length = 0
        fail(new SherdError('VALUE', 'next: the loader was closed while it waited for a batch.'))
        closing = { ended: thread.close() }
      }
      await closing.ended
    },
  }
}

/** The settings that the samples depend on, for the thread. */
function settingsOf(options: LoaderOptions): SampleSettings {
  const { height, width, channels, crop, scale, ratio, flip, seed, minSide, maxPixels } = options
  const { frames = null, minValid = 0, range = null, corrupt, fileTimeout, views, photometric } = options
  const { rules, fitting, randAugment } = options
  return {
    ...{ views, photometric, randAugment, height, width, channels, crop, scale, ratio, flip, seed },
    ...{ minSide, maxPixels, range, frames, minValid, corrupt, fileTimeout, rules, fitting },
  }
}

function checkOptions(options: LoaderOptions): void {
  const expect = (isRight: boolean, name: keyof LoaderOptions, expected: string) => {
    if (isRight) return
    throw new SherdError(
      'VALUE',
      `openLoader: expected ${name} to be ${expected}, got ${String(options[name])}`,
    )
  }
  const isRange = ([low, high]: readonly [number, number]) => low > 0 && low <= high && Number.isFinite(high)
  for (const name of ['height', 'width', 'batchSize', 'decodeThreads', 'prefetchBatches', 'minSide'] as const)
    expect(Number.isSafeInteger(options[name]) && options[name] >= 1, name, 'a whole number of at least 1')
  const isRaster = options.source.kind === 'rasters'
  expect(isRaster || options.channels === 1 || options.channels === 3, 'channels', '1 or 3 for image files')
  expect(
    isRaster === ((options.frames ?? null) !== null),
    'frames',
    isRaster ? 'a number for rasters' : 'null for images',
  )
  expect(
    Number.isSafeInteger(options.firstPosition) && options.firstPosition >= 0,
    'firstPosition',
    'a whole number',
  )
  const isRecoloured = copiesOf(viewsOfSamples(options)).some(
    ({ photometric = options.photometric ?? null }) => photometric !== null,
  )
  expect(
    !isRecoloured || (!isRaster && options.channels === 3),
    'channels',
    '3 of image files, whose colours are changed (photometric)',
  )
  expect(isSeed(options.seed), 'seed', 'a whole number in [0, 2^53)')
  expect((options.fileTimeout ?? 1) > 0, 'fileTimeout', 'a positive number of seconds')
  expect(options.maxPixels >= 1, 'maxPixels', 'at least 1')
  expect(options.maxSkippedShare >= 0 && options.maxSkippedShare <= 1, 'maxSkippedShare', 'in [0, 1]')
  expect(isRange(options.scale) && options.scale[1] <= 1, 'scale', 'two increasing numbers in (0, 1]')
  expect(isRange(options.ratio), 'ratio', 'two increasing positive numbers')
  if (options.source.files.length === 0)
    throw new SherdError('SOURCE', `The source ${options.source.dir} has no images.`)
}
