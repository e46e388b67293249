/** Signals to a long command: finish and save, save and continue, quit at once. */
import { note } from './output.ts'

/** The signals that stop a run, with the exit status: 128 + the signal's number. */
export const stopping = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const
export type Stopping = keyof typeof stopping
const names = Object.keys(stopping) as Stopping[]

let stoppedBy: Stopping | undefined

export const stopStatus = (): number => stopping[stoppedBy ?? 'SIGINT']

/** For work that keeps each finished batch. */
export const STOPPING = 'stopping after this batch; what is done is kept'

/** Signals within this time count as one: a scheduler may signal all processes of a job, and a supervisor forwards it too. */
const ONE_WISH = 1000 // ms

/**
 * Ends the process by the signal's default action, since `process.exit` waits for threads that compute or read. Shells see 128 + its
 * number.
 */
function dieOf(name: Stopping): void {
  if (process.pid === 1) process.abort() // the kernel ignores default actions for the first process of a container
  process.removeAllListeners(name)
  process.kill(process.pid, name)
}

/** Ends an interrupted command at once, although threads still work. */
export const endAtOnce = (): void => dieOf(stoppedBy ?? 'SIGTERM')

let current: AbortSignal | undefined

/** Of the work of this command; undefined where a signal ends it at once. */
export const currentSignal = (): AbortSignal | undefined => current

/** What stops the work of this command. */
let stopWork: ((why: string) => void) | null = null

/** Stops work that can be stopped, for another reason than a signal. False where there is none. */
export function stopFor(why: string): boolean {
  stopWork?.(why)
  return stopWork !== null
}

/** Aborts at the first Ctrl-C, SIGTERM or SIGHUP; a later one ends the process at once. */
export function stopSignal(doing = 'finishing this step and saving a checkpoint'): AbortSignal {
  const stop = new AbortController()
  current = stop.signal
  let since = 0
  stopWork = (why) => {
    if (stop.signal.aborted) return
    since = performance.now()
    stop.abort()
    note(`${why}: ${doing} (again to quit at once) …`)
  }
  for (const name of names) {
    process.on(name, () => {
      if (stop.signal.aborted) {
        if (performance.now() - since > ONE_WISH) dieOf(name)
        return
      }
      stoppedBy = name
      stopWork?.(name)
    })
  }
  return stop.signal
}

/** Handles the second signal in native code, so that it works in the middle of a step. Loads the addon; call it after `stopSignal`. */
export async function hearSecondSignal(): Promise<void> {
  const { quitAtSecondSignal } = await import('../tensor/process.ts')
  quitAtSecondSignal()
}

/** SIGUSR1, which schedulers send before they preempt a machine. The returned function is true once after one or more of them. */
export function saveRequests(): () => boolean {
  let isWanted = false
  if (process.platform !== 'win32')
    process.on('SIGUSR1', () => {
      isWanted = true
      note('SIGUSR1: saving a checkpoint after this step, then continuing')
    })
  return () => {
    const was = isWanted
    isWanted = false
    return was
  }
}
