/**
 * Decodes a block (tile or strip) of a TIFF file. Not by geotiff.js, which reads value by value, has no bound on the size of damaged data,
 * and fails on big-endian files of many tiles; only its Zstandard decoder is used.
 */
import { promisify } from 'node:util'
import { inflate, inflateSync } from 'node:zlib'
import { messageOf } from '../../errors.ts'
import { unusable } from '../../files/byte-file.ts'
import { type SampleType, swapBytes, type Values, valuesOf } from '../raster/sample-type.ts'
import { unpackLzw } from './lzw.ts'
import { sizedFrame } from './zstd-frame.ts'

export interface BlockLayout {
  /** TIFF's code. */
  readonly compression: number
  /** TIFF's code: 1 none, 2 differences, 3 differences of bytes of floats. */
  readonly predictor: number
  readonly littleEndian: boolean
  readonly type: SampleType
  /** Set if a value is one bit in the file. */
  readonly bits?: 1
  /** Whether the first bit of a byte is the lowest. */
  readonly isReversed?: boolean
  /** Pixels per row. */
  readonly width: number
  /** Interleaved values per pixel. */
  readonly samples: number
}

/** `most`: largest allowed output. `bytes`: expected output. */
type Unpack = (data: Buffer, most: number, bytes: number) => Buffer | Promise<Buffer>

/** Larger data are inflated on libuv's threads. */
const LARGE = 1 << 15
const inflateApart = promisify(inflate)

interface Method {
  readonly unpack: Unpack
  /** Largest compression ratio. */
  readonly ratio: number
}

const deflate: Method = { unpack: deflated, ratio: 1032 }
const methods: Readonly<Record<number, Method>> = {
  1: { unpack: (data) => data, ratio: 1 },
  5: { unpack: unpackCodes, ratio: 2600 }, // 12 bits for the longest string of a full table
  8: deflate,
  32946: deflate,
  32773: { unpack: unpackBits, ratio: 64 },
  50000: { unpack: unpackZstd, ratio: 2 ** 15 }, // 4 bytes for a block of one value
}

/** False if the header is wrong or the file is truncated. */
export const canUnpack = (compression: number, packed: number, bytes: number): boolean =>
  bytes <= packed * methods[compression]!.ratio

const names: Readonly<Record<number, string>> = {
  6: 'old JPEG',
  7: 'JPEG',
  34887: 'LERC',
  34925: 'LZMA',
  50001: 'WebP',
  50002: 'JPEG XL',
}

export const rowBytesOf = ({ width, samples, type, bits }: BlockLayout): number =>
  bits === 1 ? Math.ceil((width * samples) / 8) : width * samples * type.bytes

/** Why such blocks cannot be read, or null. */
export function whyUnreadable({
  compression,
  predictor,
  type,
  bits,
  isReversed,
}: BlockLayout): string | null {
  if (!(compression in methods))
    return `its compression is ${names[compression] ?? compression}: none, deflate, LZW, Zstandard and PackBits are read; convert it with gdal_translate -co COMPRESS=DEFLATE`
  if (
    ![1, 2, 3].includes(predictor) ||
    (predictor === 3 && type.kind !== 'float') ||
    (bits === 1 && predictor !== 1)
  )
    return `its predictor is ${predictor} for ${type.kind} numbers of ${bits ?? 8 * type.bytes} bits, which is not read`
  if (isReversed) return 'its bits are in reverse order; convert it with gdal_translate'
  return null
}

/** `rows`: least rows of the block, which may be padded to `fullRows`. `data` may be modified. */
export async function decodeBlock(
  data: Buffer,
  layout: BlockLayout,
  { rows, fullRows }: { rows: number; fullRows: number },
): Promise<Values> {
  const { compression, predictor, littleEndian, type, bits, width, samples } = layout
  const rowBytes = rowBytesOf(layout)
  let bytes: Buffer
  try {
    bytes = await methods[compression]!.unpack(data, fullRows * rowBytes, rows * rowBytes)
  } catch (error) {
    throw unusable(`a block of it cannot be unpacked (${messageOf(error)})`)
  }
  if (bytes.length < rows * rowBytes)
    throw unusable(
      `a block of it has ${bytes.length} bytes where ${rows * rowBytes} are expected: it is cut short or damaged`,
    )
  bytes = bytes.subarray(0, rows * rowBytes)
  if (bits === 1) return valuesOfBits(bytes, { rows, rowBytes, count: width * samples })
  if (bytes.byteOffset % type.bytes !== 0) bytes = Buffer.from(new Uint8Array(bytes).buffer)
  if (predictor === 3)
    for (let row = 0; row < rows; row++)
      sumFloats(bytes.subarray(row * rowBytes, (row + 1) * rowBytes), samples, type.bytes)
  else if (!littleEndian) swapBytes(bytes, type.bytes)
  if (predictor === 2) sumDifferences(bytes, type.bytes, { rows, width, samples })
  return valuesOf(bytes, type)
}

/** Eight values per byte, the first in the highest bit; rows are byte-aligned. */
function valuesOfBits(
  bytes: Buffer,
  { rows, rowBytes, count }: { rows: number; rowBytes: number; count: number },
): Uint8Array {
  const out = new Uint8Array(rows * count)
  for (let row = 0; row < rows; row++)
    for (let i = 0; i < count; i++)
      out[row * count + i] = (bytes[row * rowBytes + (i >> 3)]! >> (7 - (i & 7))) & 1
  return out
}

function deflated(data: Buffer, most: number): Buffer | Promise<Buffer> {
  const options = { maxOutputLength: most }
  return data.length > LARGE ? inflateApart(data, options) : inflateSync(data, options)
}

function unpackCodes(data: Buffer, most: number): Buffer {
  const out = Buffer.from(new ArrayBuffer(most))
  return out.subarray(0, unpackLzw(data, out))
}

/** PackBits (TIFF 6.0, section 9). */
function unpackBits(data: Buffer, most: number): Buffer {
  const out = Buffer.alloc(most)
  let done = 0
  for (let at = 0; at < data.length && done < most; ) {
    const count = data.readInt8(at++)
    if (count === -128) continue
    if (count >= 0) {
      done += data.copy(out, done, at, at + count + 1)
      at += count + 1
    } else if (at < data.length) {
      out.fill(data[at++]!, done, done + 1 - count)
      done = Math.min(most, done + 1 - count)
    }
  }
  return out.subarray(0, done)
}

async function unpackZstd(data: Buffer, _: number, bytes: number): Promise<Buffer> {
  const frame = new Uint8Array(sizedFrame(data, bytes))
  const { getDecoder } = await import('geotiff')
  const decoder = await getDecoder(50000, {
    ...{ predictor: 1, tileWidth: 1, tileHeight: 1, bitsPerSample: 8, planarConfiguration: 1 },
  })
  return Buffer.from(await decoder.decode(frame.buffer))
}

/** Undoes predictor 2: each value is the difference from that of the pixel to the left, wrapping around. */
function sumDifferences(
  bytes: Buffer,
  size: number,
  { rows, width, samples }: { rows: number; width: number; samples: number },
): void {
  const count = bytes.length / size
  const { buffer, byteOffset } = bytes
  if (size === 8) {
    const values = new BigUint64Array(buffer, byteOffset, count)
    for (let row = 0; row < rows; row++)
      for (let i = row * width * samples + samples; i < (row + 1) * width * samples; i++)
        values[i]! += values[i - samples]!
    return
  }
  const values =
    size === 1
      ? bytes
      : size === 2
        ? new Uint16Array(buffer, byteOffset, count)
        : new Uint32Array(buffer, byteOffset, count)
  for (let row = 0; row < rows; row++) {
    const end = (row + 1) * width * samples
    for (let i = row * width * samples + samples; i < end; i++) values[i] = values[i]! + values[i - samples]!
  }
}

/** Undoes predictor 3 (Adobe's technical note 3): byte planes of a row, most significant first, as differences. */
function sumFloats(row: Buffer, samples: number, size: number): void {
  for (let i = samples; i < row.length; i++) row[i] = row[i]! + row[i - samples]!
  const apart = Buffer.from(row)
  const count = row.length / size
  for (let byte = 0; byte < size; byte++) {
    const from = (size - 1 - byte) * count
    for (let i = 0; i < count; i++) row[i * size + byte] = apart[from + i]!
  }
}
