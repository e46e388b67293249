/**
 * Starts and ends the decoding thread, and converts every way in which it can die into a message, so that `next()` does not wait for ever.
 * One that has finished its job waits for the next: to start one takes 90 ms of processor time.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { messageOf, SherdError } from '../../errors.ts'
import { packageRoot } from '../../package-root.ts'
import { late, noteStuck, orLate } from '../decode/deadline.ts'
// Also loads sharp on the main thread: else its libraries would be unloaded with the first decoding thread that ends.
import { configureDecoder } from '../decode/decode.ts'
import type { DecodeJob, FromIdle, FromWorker, ToWorker } from './decode-messages.ts'
import { endWith, newEnding } from './ending.ts'

export interface DecodeThread {
  /** Returns a buffer to the thread. */
  free(buffer: number): void
  /** Whether the thread keeps the process alive: while `next()` is pending. */
  keepAlive(isNeeded: boolean): void
  /** Resolves when the thread has finished its current images, was ended by force, or after a time limit if force fails. */
  close(): Promise<void>
}

/** Time to finish current images before the thread is terminated. */
const CLOSE_PATIENCE_MS = 5000
/** Time limit of termination: a thread blocked on a file cannot be ended. */
const FORCE_PATIENCE_MS = 1000

/** Compiled, since Node 20 cannot start a TypeScript worker. Throws `ENGINE_BUILD` if it is missing. */
export function decodeWorkerFile(): string {
  const file = join(packageRoot(), 'dist', 'src', 'prepare', 'loader', 'decode-worker.js')
  if (existsSync(file)) return file
  throw new SherdError('ENGINE_BUILD', `The compiled file ${file} is missing. Run "npm run build" first.`)
}

interface Thread {
  readonly worker: Worker
  readonly file: string
  job: Job | null
  /** Not where it was ended by force. */
  mayStay: boolean
}

/** What hears a thread. */
interface Job {
  readonly onMessage: (message: FromWorker) => void
  /** The thread has finished the job, or is no more. */
  readonly onEnd: () => void
}

/** A thread without a job. */
let spare: Thread | null = null

function startThread(file: string): Thread {
  // Its garbage is addresses and messages. Given more room, V8 takes tens of megabytes before it looks for any.
  const resourceLimits = { maxYoungGenerationSizeMb: 4 }
  // geotiff's web-worker looks into the data of whatever thread it is in.
  const worker = new Worker(file, { name: 'sherd decode', execArgv: [], resourceLimits, workerData: {} })
  const thread: Thread = { worker, file, job: null, mayStay: true }
  const died = (how: string) =>
    thread.job?.onMessage({ kind: 'failure', code: 'RUN', message: `The decoding thread ${how}.` })
  worker.on('message', (message: FromWorker | FromIdle) => {
    if (message.kind === 'idle') keep(thread)
    else thread.job?.onMessage(message)
  })
  worker.on('error', (error) => died(`failed: ${messageOf(error)}`))
  worker.on('messageerror', (error) => died(`sent a message that cannot be read: ${messageOf(error)}`))
  worker.on('exit', (code) => {
    if (spare === thread) spare = null
    died(`ended with code ${code}`)
    thread.job?.onEnd()
  })
  // After the listeners, which keep the process alive.
  worker.unref()
  return thread
}

/** For the next job; ends it where one is kept already. */
function keep(thread: Thread): void {
  const { job, worker, mayStay } = thread
  if (spare || !mayStay) {
    worker.postMessage({ kind: 'end' } satisfies ToWorker)
    return
  }
  thread.job = null
  worker.unref()
  spare = thread
  job?.onEnd()
}

function takeThread(file: string): Thread {
  if (spare?.file !== file) return startThread(file)
  const thread = spare
  spare = null
  return thread
}

export function startDecodeThread(
  job: Omit<DecodeJob, 'ending'>,
  onMessage: (message: FromWorker) => void,
  workerFile: string,
): DecodeThread {
  configureDecoder()
  const thread = takeThread(workerFile)
  const { worker } = thread
  const ending = newEnding()
  const ended = new Promise<void>((resolve) => {
    const forget = endWith(ending)
    const onEnd = () => {
      forget()
      resolve()
    }
    thread.job = { onMessage, onEnd }
  })
  const send = (message: ToWorker) => worker.postMessage(message)
  send({ kind: 'begin', job: { ...job, ending } })
  return {
    free: (buffer) => send({ kind: 'free', buffer }),
    keepAlive: (isNeeded) => (isNeeded ? worker.ref() : worker.unref()),
    async close() {
      worker.ref()
      send({ kind: 'stop' })
      const within = (milliseconds: number) => orLate(ended, milliseconds / 1000)
      if ((await within(CLOSE_PATIENCE_MS)) !== late) return
      thread.mayStay = false
      void worker.terminate()
      if ((await within(FORCE_PATIENCE_MS)) !== late) return
      worker.unref()
      noteStuck()
    },
  }
}
