/** What signals mean to a command that works for long: finish and save, save and go on, quit at once. */
import { quitAtSecondSignal } from '../tensor/process.ts'
import { note } from './output.ts'

/** What ends a run, and the exit status of a command that it has stopped: 128 and the signal's number. */
export const stopping = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const
export type Stopping = keyof typeof stopping
const names = Object.keys(stopping) as Stopping[]

let stoppedBy: Stopping | undefined

/** The exit status of a command that a signal has stopped. */
export const stopStatus = (): number => stopping[stoppedBy ?? 'SIGINT']

/** The same wish may come from more than one sender: whoever signals all processes of a job, and a supervisor that hands it on. */
const ONE_WISH = 1000 // ms

/**
 * Ends the process as if it had never listened to the signal: `process.exit` waits for threads that compute or read. Shells see 128 and
 * its number.
 */
function dieOf(name: Stopping): void {
  if (process.pid === 1) process.abort() // the system keeps other signals from the first process of a container
  process.removeAllListeners(name)
  process.kill(process.pid, name)
}

/** Ends a command that a signal has stopped, with that signal, whatever still works. */
export const endAtOnce = (): void => dieOf(stoppedBy ?? 'SIGTERM')

/** Aborts at the first Ctrl-C, SIGTERM or SIGHUP; a later one ends the process at once. */
export function stopSignal(doing = 'finishing this step and saving a checkpoint'): AbortSignal {
  const stop = new AbortController()
  let since = 0
  for (const name of names) {
    process.on(name, () => {
      if (stop.signal.aborted) {
        if (performance.now() - since > ONE_WISH) dieOf(name)
        return
      }
      since = performance.now()
      stoppedBy = name
      stop.abort()
      note(`${name}: ${doing} (again to quit at once) …`)
    })
  }
  return stop.signal
}

/** From now on the second signal is heard in the middle of a step, too. Loads the addon; call it after `stopSignal`. */
export const hearSecondSignal = (): void => quitAtSecondSignal()

/** Counts SIGUSR1, which schedulers send before they take a machine away. What it gives says yes once for any number of them. */
export function saveRequests(): () => boolean {
  let isWanted = false
  if (process.platform !== 'win32')
    process.on('SIGUSR1', () => {
      isWanted = true
      note('SIGUSR1: saving a checkpoint after this step, and going on')
    })
  return () => {
    const was = isWanted
    isWanted = false
    return was
  }
}
