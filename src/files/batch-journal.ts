/**
 * Finished pieces of long work, appended to one file, so that it can continue after an interruption. Each entry is a head (JSON) and arrays of
 * numbers, with a checksum of both: what was cut off by a crash or a full disk is dropped when the file is opened again.
 */
import { createHash } from 'node:crypto'
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { cannotWrite } from './cannot-write.ts'
import { makeFolder } from './write-whole.ts'

const kinds = { Float32Array, Uint16Array, Uint8Array } as const
type Kind = keyof typeof kinds
export type NumberArray = Float32Array | Uint16Array | Uint8Array

export interface JournalEntry<Head> {
  readonly head: Head
  /** Read from the file each time, since all entries together may be larger than the memory. Not after `close`. */
  readonly arrays: readonly NumberArray[]
}

export interface BatchJournal<Head> {
  /** What was there when it was opened. */
  readonly entries: readonly JournalEntry<Head>[]
  /** Throws `RUN`. */
  append(head: Head, ...arrays: readonly NumberArray[]): void
  /** Keeps the first of `entries` alone. Call it before anything is appended. */
  truncate(entries: number): void
  close(): void
}

// Of an entry: bytes of the text, bytes of the arrays, checksum.
const PREFIX = 16
const checksum = (text: Uint8Array, numbers: Uint8Array) =>
  createHash('sha256').update('journal/2').update(text).update(numbers).digest().subarray(0, 8)

interface Text<Head> {
  readonly head: Head
  /** Kind and bytes of each. */
  readonly arrays: readonly (readonly [Kind, number])[]
}

function readAt(file: number, from: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let done = 0; done < length; ) {
    const read = readSync(file, bytes, done, length - done, from + done)
    if (read === 0) return bytes.subarray(0, done)
    done += read
  }
  return bytes
}

/** The whole entries, and where each ends. */
function entriesOf<Head>(file: number): { entries: JournalEntry<Head>[]; ends: number[] } {
  const { size } = fstatSync(file)
  const entries: JournalEntry<Head>[] = []
  const ends: number[] = []
  let end = 0
  while (size - end >= PREFIX) {
    const prefix = readAt(file, end, PREFIX)
    const middle = end + PREFIX + prefix.readUInt32LE(0)
    const to = middle + prefix.readUInt32LE(4)
    if (to > size) break
    const text = readAt(file, end + PREFIX, middle - end - PREFIX)
    if (!checksum(text, readAt(file, middle, to - middle)).equals(prefix.subarray(8))) break
    const { head, arrays } = JSON.parse(text.toString()) as Text<Head>
    entries.push({
      head,
      get arrays() {
        let at = middle
        return arrays.map(([kind, bytes]) => {
          const own = new Uint8Array(bytes) // aligned
          own.set(readAt(file, at, bytes))
          at += bytes
          return new kinds[kind](own.buffer)
        })
      },
    })
    ends.push(to)
    end = to
  }
  return { entries, ends }
}

const kindOf = (array: NumberArray): Kind =>
  array instanceof Float32Array ? 'Float32Array' : array instanceof Uint16Array ? 'Uint16Array' : 'Uint8Array'

export function openJournal<Head>(path: string): BatchJournal<Head> {
  const file = openSync(path, 'a+')
  const { entries, ends } = entriesOf<Head>(file)
  const truncate = (count: number) => ftruncateSync(file, count === 0 ? 0 : ends[count - 1]!)
  truncate(entries.length)
  return {
    entries,
    truncate,
    append(head, ...arrays) {
      const about: Text<Head> = { head, arrays: arrays.map((array) => [kindOf(array), array.byteLength]) }
      const text = Buffer.from(JSON.stringify(about))
      const bytes = Buffer.concat(
        arrays.map((array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength)),
      )
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

/** Runs `body` with the journal of a name in a folder, or without one. */
export async function withJournal<Head, T>(
  dir: string | undefined,
  name: string,
  body: (journal: BatchJournal<Head> | undefined) => Promise<T>,
): Promise<T> {
  if (dir === undefined) return body(undefined)
  makeFolder(dir)
  const journal = openJournal<Head>(join(dir, name))
  try {
    return await body(journal)
  } finally {
    journal.close()
  }
}
