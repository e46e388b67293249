/**
 * The orientation of PNG files that ImageMagick and others wrote before PNG had a place for it: EXIF as hexadecimal digits in a text
 * called `Raw profile type exif`. libvips looks into the chunk `eXIf` alone, so such a text becomes one, in memory.
 */
import { crc32, inflateSync } from 'node:zlib'

const SIGNATURE = 8
const HEADER_END = SIGNATURE + 25
const KEYWORD = /^Raw profile type (?:exif|APP1)$/i
/** EXIF fits into a segment of a JPEG. */
const MOST_BYTES = 65_536
const MOST_TEXT = 4 * MOST_BYTES

/** The same file, with its raw profile as `eXIf` where it has one and no such chunk. */
export function withExif(file: Uint8Array): Uint8Array {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length)
  let exif: Buffer | null = null
  for (let at = SIGNATURE; at + 12 <= bytes.length; ) {
    const end = at + 12 + bytes.readUInt32BE(at)
    if (end > bytes.length) break
    const type = bytes.toString('latin1', at + 4, at + 8)
    if (type === 'eXIf') return file
    exif ??= rawProfile(type, bytes.subarray(at + 8, end - 4))
    at = end
  }
  if (!exif || bytes.length < HEADER_END) return file
  return Buffer.concat([bytes.subarray(0, HEADER_END), pngChunk('eXIf', exif), bytes.subarray(HEADER_END)])
}

/** EXIF from its byte order on, of a chunk of text that holds it, or null. */
function rawProfile(type: string, data: Buffer): Buffer | null {
  if (type !== 'tEXt' && type !== 'zTXt') return null
  const end = data.subarray(0, 80).indexOf(0)
  if (end < 0 || !KEYWORD.test(data.toString('latin1', 0, end))) return null
  try {
    if (data.length > MOST_TEXT) return null
    const text =
      type === 'tEXt'
        ? data.subarray(end + 1)
        : inflateSync(data.subarray(end + 2), { maxOutputLength: MOST_TEXT })
    // An empty line, what it is, how many bytes it has, and the digits. Each part begins with what the one before cannot hold: linear time.
    const digits = /^\s*\w+\s+\d+\s+([\da-f][\da-f\s]*)$/i
      .exec(text.toString('latin1'))?.[1]
      ?.replace(/\s/g, '')
    if (!digits) return null
    const profile = Buffer.from(digits, 'hex')
    const start = profile.toString('latin1', 0, 6) === 'Exif\0\0' ? 6 : 0
    const isExif = ['II*\0', 'MM\0*'].includes(profile.toString('latin1', start, start + 4))
    return isExif && profile.length <= MOST_BYTES ? profile.subarray(start) : null
  } catch {
    return null // text that is damaged turns nothing
  }
}

/** A chunk of a PNG file. */
export function pngChunk(type: string, data: Uint8Array): Buffer {
  const out = Buffer.alloc(12 + data.length)
  out.writeUInt32BE(data.length)
  out.write(type, 4, 'latin1')
  out.set(data, 8)
  out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)), 8 + data.length)
  return out
}
