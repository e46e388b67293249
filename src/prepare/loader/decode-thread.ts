/**
 * Starts and ends the decoding thread, and turns every way in which a thread can die into a message, so that nobody
 * waits for batches that will not come.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { messageOf, SherdError } from '../../errors.ts'
import { packageRoot } from '../../package-root.ts'
import { late, noteStuck, orLate } from '../decode/deadline.ts'
// Also loads sharp on the main thread: else its libraries would be unloaded with the first decoding thread that ends.
import { configureDecoder } from '../decode/decode.ts'
import type { DecodeJob, FromWorker, ToWorker } from './decode-messages.ts'

export interface DecodeThread {
  /** Lets the thread fill a buffer. */
  free(buffer: number): void
  /** Whether the process must live on for this thread's sake: while somebody waits for it. */
  keepAlive(isNeeded: boolean): void
  /** Resolves when the thread has ended: within the time of the images it is decoding, or by force; or when not even that ends it. */
  close(): Promise<void>
}

/** How long the thread may take to finish its images before it is ended by force. */
const CLOSE_PATIENCE_MS = 5000
/** How long force may take: a thread that waits for a file which does not come cannot be ended. */
const FORCE_PATIENCE_MS = 1000

/** The compiled thread: Node 20 cannot start a TypeScript one. Throws `ENGINE_BUILD` when it is not there. */
export function decodeWorkerFile(): string {
  const file = join(packageRoot(), 'dist', 'src', 'prepare', 'loader', 'decode-worker.js')
  if (existsSync(file)) return file
  throw new SherdError('ENGINE_BUILD', `The compiled file ${file} is missing. Run "npm run build" first.`)
}

export function startDecodeThread(
  job: DecodeJob,
  onMessage: (message: FromWorker) => void,
  workerFile: string,
): DecodeThread {
  configureDecoder()
  // Its garbage is addresses and messages. Given more room, V8 takes tens of megabytes before it looks for any.
  const resourceLimits = { maxYoungGenerationSizeMb: 4 }
  const worker = new Worker(workerFile, {
    workerData: job,
    name: 'sherd decode',
    execArgv: [],
    resourceLimits,
  })
  worker.on('message', onMessage)
  const died = (how: string) =>
    onMessage({ kind: 'failure', code: 'RUN', message: `The decoding thread ${how}.` })
  worker.on('error', (error) => died(`failed: ${messageOf(error)}`))
  worker.on('messageerror', (error) => died(`sent a message that cannot be read: ${messageOf(error)}`))
  const ended = new Promise<void>((resolve) => {
    worker.on('exit', (code) => {
      died(`ended with code ${code}`)
      resolve()
    })
  })
  // Only now: to listen for messages is to keep the process alive again.
  worker.unref()
  const tell = (message: ToWorker) => worker.postMessage(message)
  return {
    free: (buffer) => tell({ kind: 'free', buffer }),
    keepAlive: (isNeeded) => (isNeeded ? worker.ref() : worker.unref()),
    async close() {
      worker.ref()
      tell({ kind: 'stop' })
      const within = (milliseconds: number) => orLate(ended, milliseconds / 1000)
      if ((await within(CLOSE_PATIENCE_MS)) !== late) return
      void worker.terminate()
      if ((await within(FORCE_PATIENCE_MS)) !== late) return
      worker.unref()
      noteStuck()
    },
  }
}
