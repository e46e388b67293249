/** fsync, and checksums (seals) of written files. */
import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, openSync, readSync, statSync } from 'node:fs'
import { messageOf, SherdError } from '../errors.ts'

/** fsync of a file or a folder. */
export function flush(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Length and checksum of a file. */
export interface Seal {
  readonly bytes: number
  readonly sha256: string
}

const CHUNK = 4 << 20

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

/** False for errors of permission or resources, which say nothing about the file. */
export const isDamage = (error: unknown): boolean =>
  ['ENOENT', 'ENOTDIR', 'EISDIR', 'EIO'].includes((error as NodeJS.ErrnoException).code ?? '')

/** How a file differs from its seal, or null. Throws `RUN` if it may not be read. */
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
    throw new SherdError('RUN', `Cannot read ${path}: ${messageOf(error)}. Fix that; nothing was changed.`, {
      cause: error,
    })
  }
}
