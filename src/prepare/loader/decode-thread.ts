/**
 * Starts and ends the decoding thread, and converts every way in which it can die into a message, so that `next()` does not wait for ever.
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
import { endWith, newEnding } from './ending.ts'

export interface DecodeThread {
  /** Returns a buffer to the thread. */
  free(buffer: number): void
  /** Whether the thread keeps the process alive: while `next()` is pending. */
  keepAlive(isNeeded: boolean): void
  /** Resolves when the thread has ended: after its current images, by force, or after a time limit if force fails. */
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

export function startDecodeThread(
  job: Omit<DecodeJob, 'ending'>,
  onMessage: (message: FromWorker) => void,
  workerFile: string,
): DecodeThread {
  configureDecoder()
  // Its garbage is addresses and messages. Given more room, V8 takes tens of megabytes before it looks for any.
  const resourceLimits = { maxYoungGenerationSizeMb: 4 }
  const ending = newEnding()
  const worker = new Worker(workerFile, {
    workerData: { ...job, ending } satisfies DecodeJob,
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
    const forget = endWith(ending)
    worker.on('exit', (code) => {
      forget()
      died(`ended with code ${code}`)
      resolve()
    })
  })
  // After the listeners, which keep the process alive.
  worker.unref()
  const send = (message: ToWorker) => worker.postMessage(message)
  return {
    free: (buffer) => send({ kind: 'free', buffer }),
    keepAlive: (isNeeded) => (isNeeded ? worker.ref() : worker.unref()),
    async close() {
      worker.ref()
      send({ kind: 'stop' })
      const within = (milliseconds: number) => orLate(ended, milliseconds / 1000)
      if ((await within(CLOSE_PATIENCE_MS)) !== late) return
      void worker.terminate()
      if ((await within(FORCE_PATIENCE_MS)) !== late) return
      worker.unref()
      noteStuck()
    },
  }
}
