/**
 * Random access to the bytes of a file. Reads beyond its end are refused before memory is allocated, since lengths in a file may be wrong.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { SherdError } from '../errors.ts'
import { notRegular, readOnly } from './regular-file.ts'

export interface ByteFile {
  readonly size: number
  /** Exactly `length` bytes from `offset`, in a new ArrayBuffer. Throws if the file is shorter. */
  read(offset: number, length: number): Promise<Buffer>
  close(): Promise<void>
}

/** An error without the file's name, which callers add. */
export const unusable = (reason: string): SherdError => new SherdError('SOURCE', reason)

export async function openBytes(path: string): Promise<ByteFile> {
  const handle = await open(path, readOnly)
  try {
    const status = await handle.stat()
    if (!status.isFile()) throw unusable(notRegular)
    const { size } = status
    if (size === 0) throw unusable('the file is empty')
    return {
      size,
      read: (offset, length) => readExactly(handle, size, offset, length),
      close: () => handle.close(),
    }
  } catch (error) {
    await handle.close()
    throw error
  }
}

async function readExactly(
  handle: FileHandle,
  size: number,
  offset: number,
  length: number,
): Promise<Buffer> {
  if (!(Number.isSafeInteger(offset) && offset >= 0 && length >= 0 && offset + length <= size))
    throw unusable(`it is cut short or damaged: bytes ${offset} to ${offset + length} are wanted of ${size}`)
  const bytes = Buffer.from(new ArrayBuffer(length)) // not pooled, so that typed arrays can view it
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, Math.min(length - done, 1 << 30), offset + done)
    if (bytesRead === 0) throw unusable('it became shorter while it was read')
    done += bytesRead
  }
  return bytes
}
