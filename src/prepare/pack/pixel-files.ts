/** The files of a pack's pixels, of about `fileBytes` each, and a journal from which packing continues where it was stopped. */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, renameSync, rmSync, truncateSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { openJournal } from '../../files/batch-journal.ts'
import { npyHeader, npyHeaderBytes } from '../../files/npy.ts'
import { sha256Of } from '../../source/packed-images.ts'
import type { SkippedFile } from '../skipped.ts'

/** Images that were packed one after the other into one file. */
export interface PackedPart {
  /** The place in the list of chosen images behind the last one that was looked at. */
  readonly next: number
  /** Indices in the source. */
  readonly kept: readonly number[]
  /** Height and width of each. */
  readonly shapes: readonly number[]
  readonly skipped: readonly SkippedFile[]
}

interface Entry extends PackedPart {
  readonly bytes: number
  /** Of their pixels. */
  readonly sha256: string
  /** The checksum of the file, if it ends here. */
  readonly ended: string | null
}

export interface PixelFile {
  name: string
  images: number
  sha256: string
}

const nameOf = (number: number) => `pixels-${String(number).padStart(5, '0')}.npy`

/** The checksum of some bytes of an open file. */
async function sha256At(file: FileHandle, start: number, bytes: number): Promise<string> {
  const hash = createHash('sha256')
  const chunk = Buffer.alloc(Math.min(bytes, 4 << 20) || 1)
  for (let done = 0; done < bytes; ) {
    const { bytesRead } = await file.read(chunk, 0, Math.min(chunk.length, bytes - done), start + done)
    if (bytesRead === 0) break
    hash.update(chunk.subarray(0, bytesRead))
    done += bytesRead
  }
  return hash.digest('hex')
}

/** How many entries agree with the files, file by file. */
async function wholeEntries(dir: string, entries: readonly Entry[]): Promise<number> {
  let whole = 0
  for (let number = 0; whole < entries.length; number++) {
    const path = join(dir, nameOf(number))
    const end = entries.findIndex(({ ended }, i) => i >= whole && ended !== null)
    if (!existsSync(path)) return whole
    if (end >= 0) {
      if ((await sha256Of(path)) !== entries[end]!.ended) return whole
      whole = end + 1
      continue
    }
    const file = await open(path, 'r')
    try {
      for (let at = npyHeaderBytes; whole < entries.length; whole++) {
        const { bytes, sha256 } = entries[whole]!
        if ((await sha256At(file, at, bytes)) !== sha256) return whole
        at += bytes
      }
    } finally {
      await file.close()
    }
  }
  return whole
}

export interface PixelFiles {
  /** What was packed before, and is still there, checksum by checksum. */
  readonly before: readonly PackedPart[]
  /** True if the file is full: the part ends then. */
  add(pixels: Uint8Array): Promise<boolean>
  /** Ends a part: an interruption loses nothing of it. */
  endPart(part: PackedPart): Promise<void>
  /** Closes files after a failure. */
  close(): Promise<void>
  /** The last file gets its header. A single file has no number in its name. */
  finish(): Promise<PixelFile[]>
}

export async function openPixelFiles(
  dir: string,
  journalPath: string,
  fileBytes: number,
): Promise<PixelFiles> {
  if (existsSync(join(dir, 'pixels.npy'))) renameSync(join(dir, 'pixels.npy'), join(dir, nameOf(0))) // it was all but finished
  const journal = openJournal<Entry>(journalPath)
  const entries = journal.entries.map(({ head }) => head)
  const whole = await wholeEntries(dir, entries)
  journal.truncate(whole)
  const before = entries.slice(0, whole)
  const done: PixelFile[] = []
  let [images, bytes] = [0, 0]
  for (const entry of before) {
    images += entry.kept.length
    bytes += entry.bytes
    if (entry.ended === null) continue
    done.push({ name: nameOf(done.length), images, sha256: entry.ended })
    ;[images, bytes] = [0, 0]
  }
  for (const name of readdirSync(dir))
    if (/^pixels-\d+\.npy$/.test(name) && name > nameOf(done.length)) rmSync(join(dir, name))
  const currentPath = join(dir, nameOf(done.length))
  let file: FileHandle | null = null
  if (existsSync(currentPath)) {
    if (images === 0) rmSync(currentPath)
    else {
      truncateSync(currentPath, npyHeaderBytes + bytes)
      file = await open(currentPath, 'r+')
    }
  }
  let part = { hash: createHash('sha256'), bytes: 0 }
  const begin = async () => {
    const opened = await open(join(dir, nameOf(done.length)), 'wx+')
    file = opened // closed after a failure, too
    await opened.write(Buffer.alloc(npyHeaderBytes), 0, npyHeaderBytes, 0)
    return opened
  }
  /** The checksum of the file that ends. */
  const end = async (): Promise<string | null> => {
    if (!file) return null
    const name = nameOf(done.length)
    await file.write(npyHeader({ dtype: '|u1', shape: [bytes] }), 0, npyHeaderBytes, 0)
    await file.sync()
    await file.close()
    file = null
    const sha256 = await sha256Of(join(dir, name))
    done.push({ name, images, sha256 })
    ;[images, bytes] = [0, 0]
    return sha256
  }
  return {
    before,
    async add(pixels) {
      file ??= await begin()
      for (let written = 0; written < pixels.length; ) {
        const place = npyHeaderBytes + bytes + written
        written += (await file.write(pixels, written, pixels.length - written, place)).bytesWritten
      }
      images++
      bytes += pixels.length
      part.hash.update(pixels)
      part.bytes += pixels.length
      return bytes >= fileBytes
    },
    async endPart(made) {
      const ended = bytes >= fileBytes ? await end() : null
      journal.append({ ...made, bytes: part.bytes, sha256: part.hash.digest('hex'), ended })
      part = { hash: createHash('sha256'), bytes: 0 }
    },
    async close() {
      journal.close()
      await file?.close()
      file = null
    },
    async finish() {
      await end()
      if (done.length === 1) {
        renameSync(join(dir, done[0]!.name), join(dir, 'pixels.npy'))
        done[0]!.name = 'pixels.npy'
      }
      return done
    },
  }
}
