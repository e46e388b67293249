/**
 * Finished batches of long work, appended to one file, so that it can go on after an interruption. Each entry is a head (JSON) and numbers
 * (float32) with a checksum of both: what was cut off by a crash or a full disk is dropped when the file is opened again.
 */
import { createHash } from 'node:crypto'
import { closeSync, existsSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import { cannotWrite } from './cannot-write.ts'

export interface JournalEntry<Head> {
  readonly head: Head
  readonly numbers: Float32Array
}

export interface BatchJournal<Head> {
  /** What was there when it was opened. */
  readonly entries: readonly JournalEntry<Head>[]
  /** Throws `RUN`. */
  append(head: Head, numbers: Float32Array): void
  /** Keeps the first of `entries` alone. Call it before anything is appended. */
  truncate(entries: number): void
  close(): void
}

// Of an entry: bytes of the head, bytes of the numbers, checksum.
const PREFIX = 16
const checksum = (head: Uint8Array, numbers: Uint8Array) =>
  createHash('sha256').update(head).update(numbers).digest().subarray(0, 8)

/** The whole entries, and where each ends. */
function entriesOf<Head>(file: Buffer): { entries: JournalEntry<Head>[]; ends: number[] } {
  const entries: JournalEntry<Head>[] = []
  const ends: number[] = []
  let end = 0
  while (file.length - end >= PREFIX) {
    const from = end + PREFIX
    const middle = from + file.readUInt32LE(end)
    const to = middle + file.readUInt32LE(end + 4)
    if (to > file.length) break
    const [head, bytes] = [file.subarray(from, middle), file.subarray(middle, to)]
    if (!checksum(head, bytes).equals(file.subarray(end + 8, from))) break
    const numbers = new Float32Array(bytes.byteLength / Float32Array.BYTES_PER_ELEMENT)
    new Uint8Array(numbers.buffer).set(bytes) // aligned
    entries.push({ head: JSON.parse(head.toString()) as Head, numbers })
    ends.push(to)
    end = to
  }
  return { entries, ends }
}

export function openJournal<Head>(path: string): BatchJournal<Head> {
  const { entries, ends } = entriesOf<Head>(existsSync(path) ? readFileSync(path) : Buffer.alloc(0))
  const file = openSync(path, 'a+')
  const truncate = (count: number) => ftruncateSync(file, count === 0 ? 0 : ends[count - 1]!)
  truncate(entries.length)
  return {
    entries,
    truncate,
    append(head, numbers) {
      const text = Buffer.from(JSON.stringify(head))
      const bytes = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength)
      const prefix = Buffer.alloc(PREFIX)
      prefix.writeUInt32LE(text.length)
      prefix.writeUInt32LE(bytes.length, 4)
      checksum(text, bytes).copy(prefix, 8)
      const entry = Buffer.concat([prefix, text, bytes])
      try {
        for (let done = 0; done < entry.length; ) done += writeSync(file, entry, done)
      } catch (error) {
        throw cannotWrite(path, error)
      }
    },
    close: () => closeSync(file),
  }
}
