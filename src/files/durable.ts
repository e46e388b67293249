/** Files that are on the disk when a call returns, whole or absent, and how to tell that they are still what was written. */
import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, openSync, readSync, statSync } from 'node:fs'
import { messageOf, SherdError } from '../errors.ts'

/** Waits until the disk has a file, or the names in a folder. */
export function flush(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** What a file was when it was written. */
export interface Seal {
  readonly bytes: number
  readonly sha256: string
}

const CHUNK = 4 << 20

/** Of the file as it is now. */
export function sealOf(path: string): Seal {
  const fd = openSync(path, 'r')
  try {
    const hash = createHash('sha256')
    const chunk = Buffer.allocUnsafe(CHUNK)
    let bytes = 0
    for (;;) {
      const read = readSync(fd, chunk, 0, CHUNK, bytes)
      if (read === 0) break
      hash.update(chunk.subarray(0, read))
      bytes += read
    }
    return { bytes, sha256: hash.digest('hex') }
  } finally {
    closeSync(fd)
  }
}

/** Whether a failure to read says something of the file and not of who reads it. */
export const isDamage = (error: unknown): boolean =>
  ['ENOENT', 'ENOTDIR', 'EISDIR', 'EIO'].includes((error as NodeJS.ErrnoException).code ?? '')

/** Why a file is not what was sealed, or null. Throws `RUN` when it may not be read. */
export function brokenSeal(path: string, { bytes, sha256 }: Seal): string | null {
  try {
    const size = statSync(path, { throwIfNoEntry: false })?.size
    if (size === undefined) return 'is missing'
    if (size !== bytes) return `has ${size} bytes, expected ${bytes}`
    return sealOf(path).sha256 === sha256
      ? null
      : 'holds other bytes than were written (its checksum differs)'
  } catch (error) {
    if (isDamage(error)) return `cannot be read (${messageOf(error)})`
    throw new SherdError('RUN', `Cannot read ${path}: ${messageOf(error)}. Mend that; nothing was changed.`, {
      cause: error,
    })
  }
}
