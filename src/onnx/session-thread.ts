/** A session in its own thread: onnxruntime-node blocks the calling thread in spite of its promises. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { SHARE_ENV, Worker } from 'node:worker_threads'
import { messageOf, SherdError } from '../errors.ts'
import { packageRoot } from '../package-root.ts'
import type { Output, Session, SessionOptions, TensorData } from './session.ts'
import type { FromSession, Inputs, SessionJob, ToSession } from './session-messages.ts'

/** How long `close` waits for the running graph. */
const CLOSE_PATIENCE_MS = 10_000

/** Compiled, since Node 20 cannot start a TypeScript worker. */
function workerFile(): string {
  const file = join(packageRoot(), 'dist', 'src', 'onnx', 'session-worker.js')
  if (existsSync(file)) return file
  throw new SherdError('ENGINE_BUILD', `The compiled file ${file} is missing. Run "npm run build" first.`)
}

interface Caller {
  readonly dropped: Int32Array
  readonly signal: AbortSignal | undefined
  readonly resolve: (outputs: Readonly<Record<string, Output>>) => void
  readonly reject: (error: unknown) => void
}

export interface ThreadedSession extends Session {
  /** Settles when the thread has ended: with an error if `close` was not called. */
  readonly ended: Promise<SherdError | null>
  /**
   * Drops queued requests. A running graph cannot be interrupted: after `patience` ms this settles, and the thread ends by itself or with
   * the process.
   */
  close(patience?: number): Promise<void>
}

/** As `openSession`. Inputs are transferred to the thread and detached for the caller. */
export async function openSessionThread(path: string, options: SessionOptions): Promise<ThreadedSession> {
  const closed = new SherdError('RUN', `The session of ${path} is closed.`)
  const job: SessionJob = { path, ...options }
  const worker = new Worker(workerFile(), {
    ...{ workerData: job, name: 'sherd session', execArgv: [] },
    env: SHARE_ENV, // the session sets a variable that ONNX Runtime reads from the process
  })
  const callers = new Map<number, Caller>()
  let asked = 0
  let isClosing = false
  let death: SherdError | null = null
  const die = (how: string) => {
    death ??= isClosing ? closed : new SherdError('RUN', `The thread that runs ${path} ${how}.`)
    for (const { reject } of callers.values()) reject(death)
    callers.clear()
  }
  const opened = new Promise<void>((resolve, reject) => {
    worker.on('message', (message: FromSession) => {
      if (message.kind === 'open') return resolve()
      if (message.kind === 'failure' && message.id === null)
        return reject(new SherdError(message.code, message.message))
      const caller = callers.get(message.id!)
      callers.delete(message.id!)
      if (message.kind === 'outputs') caller?.resolve(message.outputs)
      else if (message.kind === 'dropped') caller?.reject(caller.signal?.reason ?? closed)
      else caller?.reject(new SherdError(message.code, message.message))
    })
    worker.on('error', (error) => die(`failed: ${messageOf(error)}`))
    worker.on('exit', (code) => {
      die(`ended with code ${code}`)
      reject(death)
    })
  })
  const ended = new Promise<SherdError | null>((resolve) => {
    worker.on('exit', () => resolve(isClosing ? null : death))
  })
  const send = (message: ToSession, moved: ArrayBuffer[] = []) => worker.postMessage(message, moved)
  await opened

  return {
    ended,
    run<Name extends string>(inputs: Inputs, wanted: readonly Name[], signal?: AbortSignal) {
      return new Promise<Record<Name, Output>>((resolve, reject) => {
        if (isClosing || death) return reject(death ?? closed)
        if (signal?.aborted) return reject(signal.reason)
        const id = asked++
        const dropped = new Int32Array(new SharedArrayBuffer(4))
        signal?.addEventListener('abort', () => Atomics.store(dropped, 0, 1), { once: true })
        callers.set(id, { dropped, signal, resolve: resolve as Caller['resolve'], reject })
        send({ kind: 'run', id, inputs, wanted, dropped }, buffersOf(inputs))
      })
    },
    async close(patience = CLOSE_PATIENCE_MS) {
      isClosing = true
      if (death) return
      for (const { dropped } of callers.values()) Atomics.store(dropped, 0, 1)
      send({ kind: 'close' })
      let force: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        force = setTimeout(resolve, patience)
      })
      await Promise.race([ended, late])
      clearTimeout(force)
      if (death) return
      worker.unref()
      void worker.terminate()
    },
  }
}

/** Transferable memory of inputs. */
function buffersOf(inputs: Inputs): ArrayBuffer[] {
  const all = Array.isArray(inputs.shape)
    ? [inputs as TensorData]
    : Object.values(inputs as Record<string, TensorData>)
  const buffers = new Set(all.map(({ values }) => values.buffer))
  return [...buffers].filter((buffer) => buffer instanceof ArrayBuffer)
}
