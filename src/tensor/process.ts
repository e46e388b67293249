/** Functions for long runs that Node lacks: file locks and a second-signal handler. */
import { SherdError } from '../errors.ts'
import { addon } from './addon.ts'
import { guarded } from './tensor.ts'

/** An exclusive lock, released also when the process dies. */
export interface FileLock {
  release(): void
}

/** Creates the file if it is missing; null if another process holds the lock. Throws `RUN`. */
export function lockFile(path: string): FileLock | null {
  let descriptor: number | null
  try {
    descriptor = addon().lock(path)
  } catch (error) {
    if (error instanceof SherdError) throw error
    throw new SherdError('RUN', `Cannot lock ${path}: ${(error as Error).message}`, { cause: error })
  }
  if (descriptor === null) return null
  let isHeld = true
  return {
    release() {
      if (isHeld) addon().unlock(descriptor)
      isHeld = false
    },
  }
}

/**
 * The second SIGINT or SIGTERM ends the process at once with 128 + its number, even inside an operator; the first is handled as
 * before. Call it after `process.on` of both.
 */
export const quitAtSecondSignal = (): void =>
  guarded('quitAtSecondSignal', () => addon().quitAtSecondSignal())
