/**
 * Work in a process of its own, set up as `sherd pretrain` is: its peak memory is then that of the work alone, it can be stopped in the middle of a
 * step, and where memory runs out it ends and nothing else. One order, one result.
 */
import { fork } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { type ErrorCode, messageOf, SherdError } from '../errors.ts'
import { packageRoot } from '../package-root.ts'

type Message =
  | { readonly kind: 'progress'; readonly done: number }
  | { readonly kind: 'result'; readonly result: unknown }
  | { readonly kind: 'failure'; readonly code: ErrorCode; readonly message: string }

export interface OwnProcessOptions {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((done: number) => void) | undefined
}

/** Threads that wait sleep, and there is a thread for every core to decode with. */
const environment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  ...(process.env.OMP_WAIT_POLICY === undefined && { GOMP_SPINCOUNT: process.env.GOMP_SPINCOUNT ?? '0' }),
  UV_THREADPOOL_SIZE: process.env.UV_THREADPOOL_SIZE ?? String(Math.max(4, availableParallelism())),
})

/** `file`: below `dist/src`, since Node 20 cannot start a TypeScript file; it calls `answerOrder`. */
function compiled(file: string): string {
  const path = join(packageRoot(), 'dist', 'src', file)
  if (existsSync(path)) return path
  throw new SherdError('ENGINE_BUILD', `The compiled file ${path} is missing. Run "npm run build" first.`)
}

/** Throws what the work throws; `INTERRUPTED` when the signal is aborted; `RUN` when the process dies. */
export async function inOwnProcess<Order, Result>(
  file: string,
  order: Order,
  { signal, onProgress }: OwnProcessOptions = {},
): Promise<Result> {
  const interrupted = () => new SherdError('INTERRUPTED', 'Stopped. Nothing is left behind.')
  const path = compiled(file)
  if (signal?.aborted) throw interrupted()
  const child = fork(path, { env: environment(), execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, killedBy) => resolve(killedBy ?? `status ${code}`))
  })
  const kill = () => void child.kill('SIGKILL')
  signal?.addEventListener('abort', kill, { once: true })
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-2000)
  })
  try {
    return await new Promise<Result>((resolve, reject) => {
      child.once('error', reject)
      child.on('message', (message: Message) => {
        if (message.kind === 'progress') onProgress?.(message.done)
        else if (message.kind === 'result') resolve(message.result as Result)
        else reject(new SherdError(message.code, message.message))
      })
      void ended.then((how) => reject(signal?.aborted ? interrupted() : died(how, stderr)))
      child.send({ order })
    })
  } finally {
    signal?.removeEventListener('abort', kill)
    kill()
    await ended
  }
}

const died = (how: string, stderr: string) =>
  new SherdError(
    'RUN',
    `A measurement ended by ${how}${how === 'SIGKILL' ? ', as the system ends what takes more memory than there is' : ''}.${stderr && `\n${stderr.trimEnd()}`}`,
  )

/** The other side: answers the one order. `abandoned` is called when the process that gave it is gone. */
export function answerOrder<Order, Result>(
  work: (order: Order, onProgress: (done: number) => void) => Result | Promise<Result>,
  abandoned: (order: Order) => void = () => {},
): void {
  const send = (message: Message) => new Promise<void>((resolve) => process.send?.(message, () => resolve()))
  // Ctrl-C reaches every process of a terminal. This one is ended by the one that started it, which knows why.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {})
  try {
    writeFileSync('/proc/self/oom_score_adj', '900') // the first to go where memory runs out (Linux)
  } catch {
    // no such file elsewhere
  }
  process.once('message', async ({ order }: { order: Order }) => {
    process.once('disconnect', () => {
      abandoned(order)
      process.exit()
    })
    try {
      await send({
        kind: 'result',
        result: await work(order, (done) => void send({ kind: 'progress', done })),
      })
    } catch (error) {
      const code = error instanceof SherdError ? error.code : 'BUG'
      await send({ kind: 'failure', code, message: messageOf(error) })
    }
    process.exit()
  })
}
