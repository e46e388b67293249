/** What a long run needs of its process and Node does not offer. It lives in the addon because that is where C++ is. */
import { SherdError } from '../errors.ts'
import { addon } from './addon.ts'
import { guarded } from './tensor.ts'

/** A file that this process alone has, until `release` or its end, however it ends. */
export interface FileLock {
  release(): void
}

/** Locks a file, which is created when it is missing; null when another process has it. Throws `RUN` when it cannot. */
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
 * From now on the second SIGINT or SIGTERM ends the process at once with 128 + its number, even in the middle of an operator;
 * the first goes where it went. Call it after `process.on` of both.
 */
export const quitAtSecondSignal = (): void =>
  guarded('quitAtSecondSignal', () => addon().quitAtSecondSignal())
