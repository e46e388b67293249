/**
 * Opens untrusted files: only regular ones, without blocking. Opening a pipe waits for its writer, and a device has no end. In a run's own
 * folder links are not followed either, since they lead out of it.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { writing } from './cannot-write.ts'

const { O_RDONLY, O_WRONLY, O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants

/** Without effect on regular files. */
export const readOnly = O_RDONLY | (O_NONBLOCK ?? 0) | (O_NOCTTY ?? 0)

export const notRegular = 'it is no regular file, but a pipe, a socket, a device or a folder'

/** Throws if it is not a regular file. `O_NONBLOCK`: does not wait for the writer of a FIFO. */
function openRegular(path: string, flags: number): number {
  let fd: number
  try {
    fd = openSync(path, flags | O_NONBLOCK, 0o666)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ELOOP' || code === 'EMLINK')
      throw new Error('it is a link, and a file is expected', { cause: error })
    if (code === 'ENXIO') throw new Error(notRegular, { cause: error }) // a FIFO without reader
    throw error
  }
  try {
    if (!fstatSync(fd).isFile()) throw new Error(notRegular)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** For files that the user names: follows links. */
export const openGiven = (path: string): number => openRegular(path, O_RDONLY)

function using<T>(fd: number, body: (fd: number) => T): T {
  try {
    return body(fd)
  } finally {
    closeSync(fd)
  }
}

/** The text of a file of at most `most` bytes. */
export const readRegular = (path: string, most = Number.POSITIVE_INFINITY): string =>
  using(openRegular(path, O_RDONLY | O_NOFOLLOW), (fd) => {
    const { size } = fstatSync(fd)
    if (size > most) throw new Error(`it has ${size} bytes, and at most ${most} are expected`)
    return readFileSync(fd, 'utf8')
  })

export const withRegular = <T>(path: string, body: (fd: number, size: number) => T): T =>
  using(openRegular(path, O_RDONLY | O_NOFOLLOW), (fd) => body(fd, fstatSync(fd).size))

export const appendRegular = (path: string, text: string): void =>
  using(openRegular(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW), (fd) => writeFileSync(fd, text))

/** Creates a new file, to be renamed when complete. Removes a link or the remains of an interrupted write first. */
export function openDraft(path: string): number {
  rmSync(path, { force: true })
  return openRegular(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW)
}

export const writeDraft = (path: string, data: string | Uint8Array): void =>
  writing(path, Buffer.byteLength(data), () =>
    using(openDraft(path), (fd) => writeFileSync(fd, data, { flush: true })),
  )
