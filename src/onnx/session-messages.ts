/** Messages between session-thread.ts and session-worker.ts. */
import type { ErrorCode } from '../errors.ts'
import type { Output, Session, SessionOptions } from './session.ts'

export type Inputs = Parameters<Session['run']>[0]

export interface SessionJob extends SessionOptions {
  readonly path: string
}

export type ToSession =
  | {
      readonly kind: 'run'
      readonly id: number
      readonly inputs: Inputs
      readonly wanted: readonly string[]
      /** Shared memory: not 0 once the request is aborted. Messages are not received while a graph runs. */
      readonly dropped: Int32Array
    }
  | { readonly kind: 'close' }

/** Errors are sent as code and message, since structured clone loses the class. */
export type FromSession =
  | { readonly kind: 'open' }
  | { readonly kind: 'dropped'; readonly id: number }
  | { readonly kind: 'outputs'; readonly id: number; readonly outputs: Readonly<Record<string, Output>> }
  /** `id` null: opening failed. */
  | {
      readonly kind: 'failure'
      readonly id: number | null
      readonly code: ErrorCode
      readonly message: string
    }
