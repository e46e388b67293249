/**
 * The header of a Zstandard frame (RFC 8878, section 3.1.1). libtiff writes frames without their decompressed size; on damaged ones the
 * decoder of geotiff.js loops for ever or overwrites its own memory. So frames are checked here, and the size is added.
 */
import { unusable } from '../../files/byte-file.ts'

const MAGIC = 0xfd2fb528
const RESERVED = 8
const SINGLE = 32
const CHECKSUM = 4
const MOST_WINDOW_LOG = 27
const REPEATED = 1
const UNUSED = 3

const damaged = () => unusable('its Zstandard data are damaged')

/** Returns the frame with the decompressed size `bytes` in its header. Throws if it states another one or is not a single frame. */
export function sizedFrame(data: Buffer, bytes: number): Buffer {
  if (data.length < 6 || data.readUInt32LE(0) !== MAGIC) throw damaged()
  const descriptor = data[4]!
  const isSingle = (descriptor & SINGLE) !== 0
  if ((descriptor & RESERVED) !== 0 || (!isSingle && 10 + (data[5]! >> 3) > MOST_WINDOW_LOG)) throw damaged()
  const sizeBytes = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6]!
  const sizeAt = 5 + (isSingle ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!
  if (sizeAt + sizeBytes > data.length) throw damaged()
  if (frameEnd(data, sizeAt + sizeBytes) + (descriptor & CHECKSUM ? 4 : 0) !== data.length) throw damaged()
  if (sizeBytes === 0) {
    const size = Buffer.alloc(8)
    size.writeBigUInt64LE(BigInt(bytes))
    const head = Buffer.from(data.subarray(0, sizeAt))
    head[4] = descriptor | 0xc0
    return Buffer.concat([head, size, data.subarray(sizeAt)])
  }
  const said =
    sizeBytes === 8
      ? Number(data.readBigUInt64LE(sizeAt))
      : data.readUIntLE(sizeAt, sizeBytes) + (sizeBytes === 2 ? 256 : 0)
  if (said !== bytes) throw unusable(`it says that it becomes ${said} bytes, and ${bytes} are expected`)
  return data
}

/** End of the blocks that begin at `at`. */
function frameEnd(data: Buffer, at: number): number {
  for (;;) {
    if (at + 3 > data.length) throw damaged()
    const header = data.readUIntLE(at, 3)
    const kind = (header >> 1) & 3
    if (kind === UNUSED) throw damaged()
    at += 3 + (kind === REPEATED ? 1 : header >> 3)
    if ((header & 1) === 1) return at
  }
}
