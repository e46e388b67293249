/** Messages between the main thread (loader.ts) and the decoding thread (decode-worker.ts). */
import type { ErrorCode } from '../../errors.ts'
import type { ReadableSource } from '../open-reader.ts'
import type { SampleSettings } from '../sample-reader.ts'
import type { SkippedFile } from '../skipped.ts'
import type { FilledBatch } from './batch-filler.ts'
import type { Ending } from './ending.ts'
import type { Reader } from './sample-order.ts'

/** What a thread is to do, until it is stopped. */
export interface DecodeJob {
  readonly source: ReadableSource
  readonly settings: SampleSettings
  readonly batchSize: number
  readonly firstPosition: number
  readonly shuffle: boolean
  readonly reader: Reader
  readonly decodeThreads: number
  readonly maxSkippedShare: number
  /** Shared by both threads: a batch's pixels are never copied. */
  readonly buffers: readonly SharedArrayBuffer[]
  readonly ending: Ending
}

export type ToWorker =
  | { readonly kind: 'begin'; readonly job: DecodeJob }
  | { readonly kind: 'free'; readonly buffer: number }
  /** Finishes the current images; "idle" is the answer, where the thread can take another job. */
  | { readonly kind: 'stop' }
  | { readonly kind: 'end' }

/** Errors are sent as code and message, since structured clone loses the class. */
export type FromWorker =
  | { readonly kind: 'batch'; readonly batch: FilledBatch }
  | { readonly kind: 'skip'; readonly skipped: SkippedFile }
  | { readonly kind: 'failure'; readonly code: ErrorCode; readonly message: string }

export type FromIdle = { readonly kind: 'idle' }
