/** Runs a trial (take-trial.ts) in a process and a folder of its own, and removes both whatever happens. */
import { fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ErrorCode, SherdError } from '../errors.ts'
import { packageRoot } from '../package-root.ts'
import type { Trial, TrialRequest } from './take-trial.ts'

export interface ToTrial {
  readonly request: TrialRequest
}

export type FromTrial =
  | { readonly kind: 'steps'; readonly steps: number }
  | { readonly kind: 'done'; readonly trial: Trial }
  | { readonly kind: 'failure'; readonly code: ErrorCode; readonly message: string }

export interface TrialOptions {
  readonly signal?: AbortSignal | undefined
  readonly onSteps?: ((steps: number) => void) | undefined
}

/** Compiled, since Node 20 cannot start a TypeScript file. Throws `ENGINE_BUILD` if it is missing. */
function trialFile(): string {
  const file = join(packageRoot(), 'dist', 'src', 'plan', 'trial-process.js')
  if (existsSync(file)) return file
  throw new SherdError('ENGINE_BUILD', `The compiled file ${file} is missing. Run "npm run build" first.`)
}

/** As `sherd pretrain` sets it up: threads that wait sleep, and there is a thread for every core to decode with. */
const environment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  ...(process.env.OMP_WAIT_POLICY === undefined && { GOMP_SPINCOUNT: process.env.GOMP_SPINCOUNT ?? '0' }),
  UV_THREADPOOL_SIZE: process.env.UV_THREADPOOL_SIZE ?? String(Math.max(4, availableParallelism())),
})

/** Throws the errors of `pretrain`; `INTERRUPTED` when the signal is aborted; `RUN` when the process dies, as it does without memory. */
export async function runTrial(
  request: Omit<TrialRequest, 'out'>,
  { signal, onSteps }: TrialOptions = {},
): Promise<Trial> {
  const folder = await mkdtemp(join(tmpdir(), 'sherd-plan-'))
  const child = fork(trialFile(), {
    env: environment(),
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  const ended = new Promise<string>((resolve) =>
    child.once('exit', (code, killedBy) => resolve(killedBy ?? `status ${code}`)),
  )
  const kill = () => child.kill('SIGKILL')
  try {
    if (signal?.aborted) throw interrupted()
    signal?.addEventListener('abort', kill, { once: true })
    let stderr = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-2000)
    })
    const result = new Promise<Trial>((resolve, reject) => {
      child.once('error', reject)
      child.on('message', (message: FromTrial) => {
        if (message.kind === 'steps') onSteps?.(message.steps)
        else if (message.kind === 'done') resolve(message.trial)
        else reject(new SherdError(message.code, message.message))
      })
      void ended.then((how) => reject(signal?.aborted ? interrupted() : died(how, stderr)))
    })
    const order: ToTrial = { request: { ...request, out: join(folder, 'run') } }
    child.send(order)
    return await result
  } finally {
    signal?.removeEventListener('abort', kill)
    kill()
    await ended
    await rm(folder, { recursive: true, force: true })
  }
}

const interrupted = () => new SherdError('INTERRUPTED', 'Stopped. Nothing is left behind.')

const died = (how: string, stderr: string) =>
  new SherdError(
    'RUN',
    `The trial ended by ${how}${how === 'SIGKILL' ? ', as the system ends what takes more memory than there is' : ''}.${stderr && `\n${stderr.trimEnd()}`}`,
  )
