/**
 * NumPy's `.npy` files. What sherd writes and maps is of format version 1.0: a header of fixed size, so that it can be written
 * last, and then the values, little-endian and in C order. `npyHead` reads the header of any version, for arrays that
 * others wrote. Strict in reading: the files may come from anywhere.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { messageOf, SherdError } from '../errors.ts'
import { notRegular, readOnly } from './regular-file.ts'

const NUMPY = '\x93NUMPY'
const MAGIC = `${NUMPY}\x01\x00`
/** Of what is written; a multiple of 64, so that the values are aligned when the file is mapped. */
export const npyHeaderBytes = 128
const MAX_HEADER_BYTES = 4096

export interface NpyLayout {
  /** Such as `|u1`, `<i4`, `<i8`, `|S20`. */
  readonly dtype: string
  readonly shape: readonly number[]
}

/** The first `npyHeaderBytes` bytes of a file. */
export function npyHeader({ dtype, shape }: NpyLayout): Buffer {
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ')
  const text = `{'descr': '${dtype}', 'fortran_order': False, 'shape': (${sizes}), }`
  const header = Buffer.alloc(npyHeaderBytes, ' ')
  header.write(MAGIC, 0, 'latin1')
  header.writeUInt16LE(npyHeaderBytes - 10, 8)
  header.write(text, 10, 'latin1')
  header[npyHeaderBytes - 1] = 10
  return header
}

export interface NpyFile extends NpyLayout {
  /** Where the values begin. */
  readonly start: number
  readonly bytes: number
}

export interface NpyHead extends NpyLayout {
  readonly version: number
  readonly isFortran: boolean
  /** Where the values begin. */
  readonly start: number
}

/** So many bytes hold any header that is read. */
export const npyHeadBytes = MAX_HEADER_BYTES

/** The header at the beginning of `head`, whoever wrote it. Throws `SOURCE` with what is wrong, without naming a file. */
export function npyHead(head: Buffer): NpyHead {
  const wrong = (what: string) => new SherdError('SOURCE', what)
  const version = head[6] ?? 0
  if (head.length < 12 || head.toString('latin1', 0, 6) !== NUMPY || version < 1 || version > 3)
    throw wrong('it is no .npy file of version 1, 2 or 3')
  const start = version === 1 ? 10 + head.readUInt16LE(8) : 12 + head.readUInt32LE(8)
  if (start > head.length) throw wrong(`its header of ${start} bytes is longer than the file or too long`)
  const text = head.toString('utf8', version === 1 ? 10 : 12, start).trim()
  const found =
    /^\{'descr': '([^']{1,24})', 'fortran_order': (True|False), 'shape': \((\d{1,15}(?:, ?\d{1,15}){0,7},?|)\),? ?\}$/.exec(
      text,
    )
  if (!found) throw wrong(`its header is ${JSON.stringify(text.slice(0, 100))}`)
  const shape = found[3]!
    .split(',')
    .filter((size) => size !== '')
    .map(Number)
  return { version, dtype: found[1]!, isFortran: found[2] === 'True', shape, start }
}

const broken = (path: string, what: string, cause?: unknown) =>
  new SherdError('SOURCE', `${path} cannot be used: ${what}. Pack the images again.`, { cause })

function itemBytes(dtype: string): number {
  const size = /^(?:[|<][uifS])(\d{1,6})$/.exec(dtype)?.[1]
  return size ? Number(size) : 0
}

function parse(path: string, head: Buffer, fileBytes: number): NpyFile {
  if (head.length < 10 || head.toString('latin1', 0, 8) !== MAGIC)
    throw broken(path, 'it is no .npy file of version 1.0')
  const start = 10 + head.readUInt16LE(8)
  if (start > head.length)
    throw broken(path, `its header of ${start} bytes is longer than the file or too long`)
  const text = head.toString('latin1', 10, start)
  const found =
    /^\{'descr': '([^']{1,12})', 'fortran_order': False, 'shape': \((\d{1,15}(?:, \d{1,15}){0,3}|\d{1,15},)\), \} *\n$/.exec(
      text,
    )
  if (!found) throw broken(path, `its header is ${JSON.stringify(text.slice(0, 100).trim())}`)
  const dtype = found[1]!
  const shape = found[2]!
    .split(',')
    .filter((size) => size !== '')
    .map(Number)
  const bytes = shape.reduce((product, size) => product * size, itemBytes(dtype))
  if (itemBytes(dtype) === 0 || !Number.isSafeInteger(bytes) || start + bytes !== fileBytes)
    throw broken(path, `${dtype} of shape (${shape}) do not make its ${fileBytes} bytes`)
  return { dtype, shape, start, bytes }
}

/** Runs `use` on the open file. */
function withFile<T>(path: string, use: (file: number) => T): T {
  let file: number
  try {
    file = openSync(path, readOnly)
  } catch (error) {
    throw broken(path, messageOf(error), error)
  }
  try {
    if (!fstatSync(file).isFile()) throw broken(path, notRegular)
    return use(file)
  } finally {
    closeSync(file)
  }
}

/** What a file says of itself, compared with its length. Throws `SOURCE` with the file and what is wrong with it. */
export function examineNpy(path: string): NpyFile {
  return withFile(path, (file) => examine(path, file))
}

function examine(path: string, file: number): NpyFile {
  const head = Buffer.alloc(MAX_HEADER_BYTES)
  const got = readSync(file, head, 0, head.length, 0)
  return parse(path, head.subarray(0, got), fstatSync(file).size)
}

/** The values of a file, which must be of this dtype (a pattern) and shape. */
export function readNpy(
  path: string,
  expected: { dtype: RegExp; shape: readonly number[] },
): NpyFile & { values: Buffer } {
  return withFile(path, (file) => {
    const found = examine(path, file)
    if (!expected.dtype.test(found.dtype) || found.shape.join() !== expected.shape.join())
      throw broken(
        path,
        `expected ${expected.dtype.source} of shape (${expected.shape}), got ${found.dtype} of shape (${found.shape})`,
      )
    const values = Buffer.alloc(found.bytes) // its own memory, so it can be seen as numbers
    for (let done = 0; done < found.bytes; ) {
      const got = readSync(file, values, done, Math.min(found.bytes - done, 1 << 30), found.start + done)
      if (got === 0) throw broken(path, 'it became shorter while it was read')
      done += got
    }
    return { ...found, values }
  })
}
