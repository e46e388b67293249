/**
 * NumPy's `.npy` files. sherd writes and maps version 1.0: a header of fixed size, so that it can be written last, then the values,
 * little-endian in C order. `npyHead` reads any version. Strict, since files may be untrusted.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { messageOf, SherdError } from '../errors.ts'
import { notRegular, readOnly } from './regular-file.ts'

const NUMPY = '\x93NUMPY'
const MAGIC = `${NUMPY}\x01\x00`
/** Of written files; a multiple of 64, so that mapped values are aligned. */
export const npyHeaderBytes = 128
const MAX_HEADER_BYTES = 4096

export interface NpyLayout {
  /** Such as `|u1`, `<i4`, `<i8`, `|S20`. */
  readonly dtype: string
  readonly shape: readonly number[]
}

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

/** Largest supported header. */
export const npyHeadBytes = MAX_HEADER_BYTES

/** Parses a header of any version. Throws `SOURCE` without the file's name. */
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

/** Reads the header and compares it with the file's length. Throws `SOURCE` with the file and the reason. */
export function examineNpy(path: string): NpyFile {
  return withFile(path, (file) => examine(path, file))
}

function examine(path: string, file: number): NpyFile {
  const head = Buffer.alloc(MAX_HEADER_BYTES)
  const got = readSync(file, head, 0, head.length, 0)
  return parse(path, head.subarray(0, got), fstatSync(file).size)
}

/** `dtype` is a pattern. */
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
    const values = Buffer.alloc(found.bytes) // not pooled, so that typed arrays can view it
    for (let done = 0; done < found.bytes; ) {
      const got = readSync(file, values, done, Math.min(found.bytes - done, 1 << 30), found.start + done)
      if (got === 0) throw broken(path, 'it became shorter while it was read')
      done += got
    }
    return { ...found, values }
  })
}
