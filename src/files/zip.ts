/**
 * Members of a zip file, such as NumPy's `.npz`, whole or in part, located by the directory at its end. Stored and deflated members,
 * also Zip64. Claimed sizes are checked against each other before memory is allocated.
 */
import { Readable } from 'node:stream'
import { constants, crc32, createInflateRaw, inflateRawSync } from 'node:zlib'
import { messageOf, SherdError } from '../errors.ts'
import { type ByteFile, unusable } from './byte-file.ts'

export interface ZipMember {
  readonly name: string
  /** Uncompressed. */
  readonly bytes: number
  readonly packedBytes: number
  readonly isDeflated: boolean
  readonly crc: number
  /** Of its local header. */
  readonly offset: number
}

const END = 0x06054b50
const END_64 = 0x06064b50
const LOCATOR_64 = 0x07064b50
const ENTRY = 0x02014b50
const LOCAL = 0x04034b50
const MAX_DIRECTORY_BYTES = 16e6
const MAX_MEMBER_BYTES = 2 ** 31
/** Largest compression ratio of deflate. */
const MAX_RATIO = 1032
const FULL = 0xffffffff
/** Compressed bytes to start with if only the beginning is needed. */
const FIRST_BYTES = 128
const PIECE = 1 << 18

export async function zipMembers(file: ByteFile): Promise<ZipMember[]> {
  const tail = await file.read(file.size - Math.min(file.size, 65_557), Math.min(file.size, 65_557))
  let end = tail.length - 22
  while (
    end >= 0 &&
    (tail.readUInt32LE(end) !== END || end + 22 + tail.readUInt16LE(end + 20) !== tail.length)
  )
    end--
  if (end < 0) throw unusable('it is no zip file, or cut short')
  let count = tail.readUInt16LE(end + 10)
  let bytes = tail.readUInt32LE(end + 12)
  let offset = tail.readUInt32LE(end + 16)
  if (end >= 20 && tail.readUInt32LE(end - 20) === LOCATOR_64) {
    const record = await file.read(Number(tail.readBigUInt64LE(end - 12)), 56)
    if (record.readUInt32LE(0) !== END_64) throw unusable('its zip directory is damaged')
    count = Number(record.readBigUInt64LE(32))
    bytes = Number(record.readBigUInt64LE(40))
    offset = Number(record.readBigUInt64LE(48))
  }
  if (bytes > MAX_DIRECTORY_BYTES) throw unusable(`its zip directory of ${bytes} bytes is too large`)
  const directory = await file.read(offset, bytes)
  const members: ZipMember[] = []
  for (let at = 0; members.length < count; ) {
    if (at + 46 > bytes || directory.readUInt32LE(at) !== ENTRY)
      throw unusable('its zip directory is damaged')
    const [name, extra, comment] = [28, 30, 32].map((place) => directory.readUInt16LE(at + place)) as [
      number,
      number,
      number,
    ]
    const next = at + 46 + name + extra + comment
    if (next > bytes) throw unusable('its zip directory is damaged')
    members.push(memberOf(directory.subarray(at, next), name, extra))
    at = next
  }
  return members
}

function memberOf(entry: Buffer, nameBytes: number, extraBytes: number): ZipMember {
  const name = entry.toString('utf8', 46, 46 + nameBytes)
  const method = entry.readUInt16LE(10)
  if ((entry.readUInt16LE(8) & 1) !== 0) throw unusable(`its member ${name} is encrypted`)
  if (method !== 0 && method !== 8)
    throw unusable(`its member ${name} is packed by method ${method}: stored and deflated ones are read`)
  const sizes = [entry.readUInt32LE(24), entry.readUInt32LE(20), entry.readUInt32LE(42)] // uncompressed, compressed, offset
  const extra = entry.subarray(46 + nameBytes, 46 + nameBytes + extraBytes)
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue
    let value = at + 4
    for (const [i, size] of sizes.entries())
      if (size === FULL && value + 8 <= extra.length) {
        sizes[i] = Number(extra.readBigUInt64LE(value))
        value += 8
      }
  }
  const [bytes, packedBytes, offset] = sizes as [number, number, number]
  const isDeflated = method === 8
  if (isDeflated ? bytes > packedBytes * MAX_RATIO + 1024 : bytes !== packedBytes)
    throw unusable(`its member ${name} cannot be ${bytes} bytes from ${packedBytes}`)
  return { name, bytes, packedBytes, isDeflated, crc: entry.readUInt32LE(16), offset }
}

async function startOf(file: ByteFile, { name, offset }: ZipMember): Promise<number> {
  const header = await file.read(offset, 30)
  if (header.readUInt32LE(0) !== LOCAL) throw unusable(`its member ${name} is not where the directory says`)
  return offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28)
}

/** At most `most` first bytes of a member; decompresses little more. */
export async function readMemberStart(file: ByteFile, member: ZipMember, most: number): Promise<Buffer> {
  const start = await startOf(file, member)
  const packed = await file.read(start, Math.min(member.packedBytes, most + 64))
  if (!member.isDeflated) return packed.subarray(0, most)
  for (let count = Math.min(FIRST_BYTES, packed.length); ; count = Math.min(2 * count, packed.length)) {
    const options = { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: count * MAX_RATIO + 1024 }
    const bytes = inflated(() => inflateRawSync(packed.subarray(0, count), options), member)
    if (bytes.length >= most || count === packed.length) return bytes.subarray(0, most)
  }
}

/** Some bytes of a stored member, without checking its CRC. */
export async function readStored(
  file: ByteFile,
  member: ZipMember,
  offset: number,
  length: number,
): Promise<Buffer> {
  if (offset + length > member.bytes)
    throw unusable(`its member ${member.name} is shorter than its header says`)
  return file.read((await startOf(file, member)) + offset, length)
}

/** Some bytes of any member; a deflated one is decompressed up to their end, in little memory. */
export async function readPart(
  file: ByteFile,
  member: ZipMember,
  offset: number,
  length: number,
): Promise<Buffer> {
  if (!member.isDeflated) return readStored(file, member, offset, length)
  if (offset + length > member.bytes)
    throw unusable(`its member ${member.name} is shorter than its header says`)
  const start = await startOf(file, member)
  const out = Buffer.from(new ArrayBuffer(length)) // not pooled, so that typed arrays can view it
  const inflater = createInflateRaw({ chunkSize: PIECE })
  const packed = Readable.from(piecesOf(file, start, member.packedBytes))
  packed.on('error', (error) => inflater.destroy(error)).pipe(inflater)
  let at = -offset // position of the next bytes in `out`
  try {
    for await (const chunk of inflater as AsyncIterable<Buffer>) {
      if (at + chunk.length > 0) chunk.copy(out, Math.max(0, at), Math.max(0, -at))
      at += chunk.length
      if (at >= length) return out
    }
  } catch (error) {
    if (error instanceof SherdError) throw error
    throw unusable(`its member ${member.name} cannot be unpacked (${messageOf(error)})`)
  } finally {
    packed.destroy()
  }
  throw unusable(`its member ${member.name} is shorter than its header says`)
}

async function* piecesOf(file: ByteFile, start: number, bytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes; at += PIECE) yield await file.read(start + at, Math.min(PIECE, bytes - at))
}

export async function readMember(file: ByteFile, member: ZipMember): Promise<Buffer> {
  if (member.bytes > MAX_MEMBER_BYTES)
    throw unusable(`its member ${member.name} of ${member.bytes} bytes is too large`)
  const packed = await file.read(await startOf(file, member), member.packedBytes)
  const bytes = member.isDeflated
    ? inflated(() => inflateRawSync(packed, { maxOutputLength: Math.max(1, member.bytes) }), member)
    : packed
  if (bytes.length !== member.bytes || crc32(bytes) !== member.crc)
    throw unusable(`its member ${member.name} is damaged: its sum is not the one that was written`)
  return bytes
}

function inflated(inflate: () => Buffer, { name }: ZipMember): Buffer {
  try {
    return inflate()
  } catch (error) {
    throw unusable(`its member ${name} cannot be unpacked (${messageOf(error)})`)
  }
}
