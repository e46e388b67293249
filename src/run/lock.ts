/** The lock of a run's folder: one writer at a time. The operating system releases it when its owner ends. */
import { existsSync, lstatSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { runPaths } from '../checkpoint/run-folder.ts'
import { SherdError } from '../errors.ts'
import { type FileLock, lockFile } from '../tensor/process.ts'

/** Locks the folder, which must exist. Throws `RUN` naming the holder. */
export function lockRun(dir: string): FileLock {
  const { lock: path } = runPaths(dir)
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === false)
    throw new SherdError(
      'RUN',
      `${resolve(path)} is a link or no regular file, and the lock of the run: remove it.`,
    )
  const lock = lockFile(path)
  if (!lock) {
    const owner = existsSync(path) ? readFileSync(path, 'utf8').trim() : ''
    throw new SherdError(
      'RUN',
      `${resolve(dir)} is being written by another process${owner && `, ${owner}`}. Wait for it, or end it.`,
    )
  }
  const since = new Date().toISOString()
  try {
    writeFileSync(path, `process ${process.pid} on ${hostname()} since ${since}\n`) // for the message above
  } catch {
    // a full disk; the lock holds without it
  }
  return lock
}
