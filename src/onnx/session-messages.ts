/** What crosses between who asks (session-thread.ts) and the thread that computes (session-worker.ts). */
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
      /** Shared: not 0 when nobody waits for it any more. Messages are not heard while a graph computes. */
      readonly dropped: Int32Array
    }
  | { readonly kind: 'close' }

/** Errors cross as code and message: a structured clone would lose the class. */
export type FromSession =
  | { readonly kind: 'open' }
  | { readonly kind: 'dropped'; readonly id: number }
  | { readonly kind: 'outputs'; readonly id: number; readonly outputs: Readonly<Record<string, Output>> }
  /** `id` null: it cannot be opened. */
  | {
      readonly kind: 'failure'
      readonly id: number | null
      readonly code: ErrorCode
      readonly message: string
    }
