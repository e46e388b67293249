/** What signals mean to a command that works for long: finish and save, save and go on, quit at once. */
import { quitAtSecondSignal } from '../tensor/process.ts'
import { note } from './output.ts'

let stoppedBy: 'SIGINT' | 'SIGTERM' | undefined

/** The exit status of a command that a signal has stopped. */
export const stopStatus = (): number => (stoppedBy === 'SIGTERM' ? 143 : 130)

/** Aborts at the first Ctrl-C or SIGTERM; the second one ends the process at once. */
export function stopSignal(doing = 'finishing this step and saving a checkpoint'): AbortSignal {
  const stop = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(name === 'SIGINT' ? 130 : 143)
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
