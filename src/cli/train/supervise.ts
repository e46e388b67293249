/** `sherd pretrain --supervise`: trains in a process of its own, and starts it again from its last checkpoint when it crashes. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { listCheckpoints } from '../../checkpoint/retention.ts'
import { runPaths } from '../../checkpoint/run-folder.ts'
import { appendNote } from '../../run/journal.ts'
import { asidePath } from '../../run/replace.ts'
import { duration, note, warn } from '../output.ts'
import { type Stopping, stopping } from '../signals.ts'

export interface SuperviseOptions {
  readonly out: string
  /** Crashes without a new checkpoint between them before it gives up. */
  readonly restarts: number
  readonly resume: boolean
  readonly overwrite: boolean
}

/**
 * Statuses after which starting again would change nothing: done, a reported error, wrong usage, a deliberate
 * signal. Everything else is a crash: another signal (9 of the kernel's memory killer, 11, 6 …), or an unknown status.
 */
const meant: readonly number[] = [0, 1, 2, ...Object.values(stopping)]

const FIRST_WAIT = 1 // seconds; doubled after each crash in a row
const LONGEST_WAIT = 60

const latestStep = (out: string) => listCheckpoints(runPaths(out).checkpoints).at(-1)?.step ?? 0

/**
 * The arguments of the child. A crashed run continues; one that was to replace another and had not begun, which is then still there, is tried
 * again.
 */
export function childArguments(
  given: readonly string[],
  { isFirst, resume, isToReplace }: { isFirst: boolean; resume: boolean; isToReplace: boolean },
): string[] {
  const own = given.filter((each) => each !== '--supervise')
  return isFirst || resume || isToReplace
    ? own
    : [...own.filter((each) => each !== '--overwrite'), '--resume']
}

function startChild(isFirst: boolean, { out, resume }: SuperviseOptions): ChildProcess {
  const isToReplace = existsSync(asidePath(out))
  const args = childArguments(process.argv.slice(2), { isFirst, resume, isToReplace })
  // A session of its own, so that Ctrl-C in a terminal reaches it once, from here.
  return spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
    stdio: 'inherit',
    detached: true,
  })
}

interface Ended {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
}

/** Runs until the training ends by itself or cannot be kept going. Sets the exit status. */
export async function supervise(options: SuperviseOptions): Promise<void> {
  const { out, restarts } = options
  const { journal, config } = runPaths(out)
  const record = (event: string, more: object) => {
    if (!existsSync(config)) return // the run's folder is being made, and must hold nothing else
    try {
      appendNote(journal, { event, ...more })
    } catch {
      // it is printed, too
    }
  }
  let child: ChildProcess | undefined
  let stoppedBy: Stopping | undefined
  const waiting = new AbortController()
  for (const name of Object.keys(stopping) as Stopping[])
    process.on(name, () => {
      stoppedBy ??= name
      waiting.abort()
      child?.kill(name)
    })
  process.on('SIGUSR1', () => child?.kill('SIGUSR1'))
  let reached = options.overwrite ? 0 : latestStep(out)
  for (let crashes = 0, isFirst = true; ; isFirst = false) {
    child = startChild(isFirst, options)
    const { status, signal } = await new Promise<Ended>((resolve, reject) => {
      child!.once('error', reject)
      child!.once('exit', (status, signal) => resolve({ status, signal }))
    })
    child = undefined
    const stopped = stoppedBy ?? (signal && signal in stopping ? (signal as Stopping) : undefined)
    if ((status !== null && meant.includes(status)) || stopped) {
      process.exitCode = status ?? stopping[stopped ?? 'SIGTERM']
      return
    }
    const step = latestStep(out)
    crashes = step > reached ? 1 : crashes + 1
    reached = step
    const how = signal ? `was ended by ${signal}` : `ended with status ${status}`
    const place = step > 0 ? `its checkpoint of step ${step}` : 'the beginning'
    if (crashes > restarts) {
      record('gave up', { status, signal, crashes })
      warn(`the training ${how}, ${crashes} times without a new checkpoint: giving up`)
      process.exitCode = 1
      return
    }
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (crashes - 1))
    record('restarted', { status, signal, crashes, fromStep: step, waitSeconds: wait })
    note(`the training ${how}: starting it again from ${place} in ${duration(wait)}`)
    await sleep(1000 * wait, undefined, { signal: waiting.signal }).catch(() => {})
    if (stoppedBy) {
      process.exitCode = stopping[stoppedBy]
      return
    }
  }
}
