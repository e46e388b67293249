/**
 * The safetensors format: eight bytes of header length, a JSON header, the tensors' bytes. The header of an untrusted file is checked
 * in full (sizes, offsets, overlaps, dtypes, shapes) before tensor data are read.
 */
import { createHash, type Hash } from 'node:crypto'
import { closeSync, fstatSync, fsyncSync, readSync, writeSync } from 'node:fs'
import { z } from 'zod'
import { brief, invariant, messageOf, SherdError } from '../errors.ts'
import { writing } from '../files/cannot-write.ts'
import type { Seal } from '../files/durable.ts'
import { isLfsPointer, lfsAdvice } from '../files/lfs-pointer.ts'
import { openDraft, openGiven } from '../files/regular-file.ts'
import { type ArrayOf, type DType, dtypes } from '../tensor/dtype.ts'
import { fromArray, type Shape, Tensor, toArray } from '../tensor/tensor.ts'
import type { StoredArray } from './arrays.ts'

const formatNames = {
  U8: 'uint8',
  I32: 'int32',
  I64: 'int64',
  F16: 'float16',
  F32: 'float32',
  F64: 'float64',
  BOOL: 'bool',
  BF16: 'bfloat16',
} as const satisfies Record<string, DType>
type FormatName = keyof typeof formatNames
const nameOf = (dtype: DType) =>
  (Object.keys(formatNames) as FormatName[]).find((name) => formatNames[name] === dtype)

const headerLimit = 100 * 2 ** 20 // the limit of the format's own library

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const entrySchema = z.object({
  dtype: z.enum(Object.keys(formatNames) as [FormatName, ...FormatName[]]),
  shape: z.array(count).max(16),
  data_offsets: z.tuple([count, count]),
})
const metadataSchema = z.record(z.string(), z.string())

export interface Entry {
  readonly dtype: DType
  readonly shape: readonly number[]
  /** Byte range, from the end of the header. */
  readonly begin: number
  readonly end: number
}

export interface Header {
  readonly metadata: Readonly<Record<string, string>>
  readonly entries: ReadonlyMap<string, Entry>
  /** Offset of the tensor data. */
  readonly dataStart: number
}

/** Counts the top-level keys of valid JSON: `JSON.parse` silently drops duplicates. */
function keysWritten(text: string): number {
  let depth = 0
  let keys = 0
  for (const [token] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:]/g)) {
    if (token === '{' || token === '[') depth++
    else if (token === '}' || token === ']') depth--
    else if (token === ':' && depth === 1) keys++
  }
  return keys
}

/** `text`: the JSON after the length field. */
function parseHeader(text: string, { fileSize, dataStart }: { fileSize: number; dataStart: number }): Header {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw new SherdError('CHECKPOINT', `its header is not JSON (${messageOf(error)})`)
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new SherdError('CHECKPOINT', 'its header is not a JSON object')
  }
  if (keysWritten(text) !== Object.keys(json).length)
    throw new SherdError('CHECKPOINT', 'its header names a tensor twice')
  const { __metadata__: rawMetadata = {}, ...rawEntries } = json as Record<string, unknown>
  const metadata = metadataSchema.safeParse(rawMetadata)
  if (!metadata.success) throw new SherdError('CHECKPOINT', 'its __metadata__ is not an object of strings')
  const entries = new Map<string, Entry>()
  for (const [name, raw] of Object.entries(rawEntries)) {
    const parsed = entrySchema.safeParse(raw)
    if (!parsed.success) {
      throw new SherdError(
        'CHECKPOINT',
        `its entry "${brief(name)}" is malformed: ${z.prettifyError(parsed.error)}`,
      )
    }
    const { dtype, shape, data_offsets } = parsed.data
    const [begin, end] = data_offsets
    const bytes = shape.reduce((a, b) => a * b, dtypes[formatNames[dtype]].bytes)
    if (end - begin !== bytes) {
      throw new SherdError(
        'CHECKPOINT',
        `its entry "${brief(name)}" needs ${bytes} bytes but spans ${end - begin}`,
      )
    }
    entries.set(name, { dtype: formatNames[dtype], shape, begin, end })
  }
  let covered = 0
  for (const [name, { begin, end }] of [...entries].sort(
    ([, a], [, b]) => a.begin - b.begin || a.end - b.end,
  )) {
    if (begin !== covered) {
      throw new SherdError(
        'CHECKPOINT',
        `its entry "${brief(name)}" starts at byte ${begin}, expected ${covered}: tensors overlap or leave a hole`,
      )
    }
    covered = end
  }
  if (dataStart + covered !== fileSize) {
    throw new SherdError(
      'CHECKPOINT',
      `it should be ${dataStart + covered} bytes long, but is ${fileSize}: truncated, or not a safetensors file`,
    )
  }
  return { metadata: metadata.data, entries, dataStart }
}

function readExactly(fd: number, target: Uint8Array, position: number): void {
  let done = 0
  while (done < target.byteLength) {
    const read = readSync(fd, target, done, Math.min(target.byteLength - done, 1 << 30), position + done)
    if (read === 0) throw new SherdError('CHECKPOINT', 'it ended while it was being read')
    done += read
  }
}

/** Throws for files that are often mistaken for safetensors. */
function expectNoOtherFormat(fd: number, size: number): void {
  const start = new Uint8Array(Math.min(size, 128))
  readExactly(fd, start, 0)
  if (isLfsPointer(start)) throw new SherdError('CHECKPOINT', lfsAdvice)
}

function readHeader(fd: number): Header {
  const { size } = fstatSync(fd)
  if (size < 10) throw new SherdError('CHECKPOINT', `it is only ${size} bytes long`)
  const lengthField = new DataView(new ArrayBuffer(8))
  readExactly(fd, new Uint8Array(lengthField.buffer), 0)
  const length = Number(lengthField.getBigUint64(0, true))
  if (length > size - 8) expectNoOtherFormat(fd, size)
  if (length < 2 || length > headerLimit || length > size - 8) {
    throw new SherdError('CHECKPOINT', `its header claims ${length} bytes in a file of ${size}`)
  }
  const bytes = new Uint8Array(length)
  readExactly(fd, bytes, 8)
  return parseHeader(new TextDecoder().decode(bytes), { fileSize: size, dataStart: 8 + length })
}

function reading<T>(path: string, body: (fd: number) => T): T {
  let fd: number
  try {
    fd = openGiven(path)
  } catch (error) {
    throw new SherdError('CHECKPOINT', `Cannot open ${path}: ${messageOf(error)}`, { cause: error })
  }
  try {
    return body(fd)
  } catch (error) {
    throw new SherdError('CHECKPOINT', `${path} cannot be read as safetensors: ${messageOf(error)}`, {
      cause: error,
    })
  } finally {
    closeSync(fd)
  }
}

type Make<T> = (data: ArrayOf<DType>, shape: Shape, dtype: DType) => T

const every = () => true

function readWith<T>(
  path: string,
  make: Make<T>,
  isWanted: (name: string) => boolean = every,
): { metadata: Header['metadata']; tensors: Map<string, T> } {
  return reading(path, (fd) => {
    const { metadata, entries, dataStart } = readHeader(fd)
    const tensors = new Map<string, T>()
    for (const [name, { dtype, shape, begin, end }] of entries) {
      if (!isWanted(name)) continue
      const bytes = new Uint8Array(end - begin)
      readExactly(fd, bytes, dataStart + begin)
      tensors.set(name, make(new dtypes[dtype].array(bytes.buffer), shape, dtype))
    }
    return { metadata, tensors }
  })
}

/** Metadata and tensors (on the CPU). Throws `CHECKPOINT` with the file and the reason. */
export const readSafetensors = (path: string) => readWith<Tensor>(path, fromArray)

/** As plain arrays, without LibTorch; of all names, or of those that are wanted. */
export const readArrays = (path: string, isWanted?: (name: string) => boolean) =>
  readWith<StoredArray>(path, (data, shape, dtype) => ({ data, shape, dtype }), isWanted)

/** An array of a file whose header was read. Throws `CHECKPOINT`. */
export const readArray = (
  path: string,
  { dataStart }: Header,
  { dtype, begin, end }: Entry,
): ArrayOf<DType> =>
  reading(path, (fd) => {
    const bytes = new Uint8Array(end - begin)
    readExactly(fd, bytes, dataStart + begin)
    return new dtypes[dtype].array(bytes.buffer)
  })

/** Throws `CHECKPOINT`. */
export const readSafetensorsHeader = (path: string): Header => reading(path, readHeader)

function writeFully(fd: number, bytes: Uint8Array, seal: Hash): void {
  seal.update(bytes)
  let done = 0
  while (done < bytes.byteLength)
    done += writeSync(fd, bytes, done, Math.min(bytes.byteLength - done, 1 << 30))
}

/** Writes and fsyncs. Not atomic: write to a temporary name. Returns the seal. */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor | StoredArray>,
  metadata: Readonly<Record<string, string>> = {},
): Seal {
  const header = new Map<string, unknown>([['__metadata__', metadata]])
  let offset = 0
  for (const [name, tensor] of tensors) {
    const dtype = nameOf(tensor.dtype)
    if (!dtype || header.has(name))
      throw new SherdError(
        'CHECKPOINT',
        `Cannot write "${name}" (${tensor.dtype}[${tensor.shape.join(', ')}]) to ${path}: ${dtype ? 'the format keeps this name for itself' : 'unsupported element type'}`,
      )
    const bytes = tensor.shape.reduce((a, b) => a * b, dtypes[tensor.dtype].bytes)
    const given = tensor instanceof Tensor ? bytes : tensor.data.byteLength
    invariant(
      given === bytes,
      `${name} has ${given} bytes, and its shape [${tensor.shape.join(', ')}] ${bytes}`,
    )
    header.set(name, { dtype, shape: tensor.shape, data_offsets: [offset, offset + bytes] })
    offset += bytes
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)))
  const padded = new Uint8Array(Math.ceil(json.length / 8) * 8).fill(0x20) // tensor data start on eight bytes
  padded.set(json)
  const lengthField = new DataView(new ArrayBuffer(8))
  lengthField.setBigUint64(0, BigInt(padded.length), true)
  const hash = createHash('sha256')
  const bytes = 8 + padded.length + offset
  writing(path, bytes, () => {
    const fd = openDraft(path)
    try {
      writeFully(fd, new Uint8Array(lengthField.buffer), hash)
      writeFully(fd, padded, hash)
      for (const tensor of tensors.values()) {
        const data = tensor instanceof Tensor ? toArray(tensor) : tensor.data
        writeFully(fd, new Uint8Array(data.buffer, data.byteOffset, data.byteLength), hash)
      }
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  })
  return { bytes, sha256: hash.digest('hex') }
}
