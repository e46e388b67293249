// Images for the tests of this folder: written by sharp from given pixels, or byte by byte where sharp cannot.
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { deflateSync } from 'node:zlib'
import sharp, { type Sharp } from 'sharp'
import { folderOfFile } from '../../after-file.ts'

export const temporaryFolder = async (): Promise<string> => folderOfFile('sherd-images-')

/** Interleaved 8-bit pixels as a sharp image. */
export function fromBytes(pixels: ArrayLike<number>, width: number, channels: 1 | 2 | 3 | 4 = 3): Sharp {
  const height = pixels.length / width / channels
  return sharp(Uint8Array.from(pixels), { raw: { width, height, channels } })
}

/** Interleaved 16-bit pixels as a sharp image that stays 16-bit. */
export function from16Bits(pixels: ArrayLike<number>, width: number, channels: 1 | 3 | 4): Sharp {
  const height = pixels.length / width / channels
  const image = sharp(Uint16Array.from(pixels), { raw: { width, height, channels } })
  return image.toColourspace(channels === 1 ? 'grey16' : 'rgb16')
}

/** Smooth colour noise with detail at several scales, as photographs have it. */
export async function scene(width: number, height: number, seed: number): Promise<Sharp> {
  const layers = [1, 4, 16].map((scale, k) => {
    const [w, h] = [Math.ceil(width / scale), Math.ceil(height / scale)]
    let state = seed * 7919 + k * 104729 + 1
    const next = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return state >>> 24
    }
    const noise = fromBytes(Array.from({ length: w * h * 3 }, next), w)
    return noise.resize(width, height, { kernel: 'cubic', fit: 'fill' }).raw().toBuffer()
  })
  const [fine, middle, coarse] = await Promise.all(layers)
  const mixed = fine!.map((value, i) => Math.round(0.15 * value + 0.3 * middle![i]! + 0.55 * coarse![i]!))
  return fromBytes(mixed, width)
}

/** Writes `count` JPEGs of `size` pixels to `dir`/`name(i)`, all different. */
export async function writeScenes(
  dir: string,
  {
    count,
    size,
    name = (i) => `${String(i).padStart(3, '0')}.jpg`,
  }: {
    count: number
    size: number
    name?: (i: number) => string
  },
): Promise<void> {
  for (let i = 0; i < count; i++) {
    const path = join(dir, name(i))
    mkdirSync(dirname(path), { recursive: true })
    await (await scene(size + (i % 3), size + (i % 5), i)).jpeg({ quality: 90 }).toFile(path)
  }
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  return (crc ^ 0xffffffff) >>> 0
}

function pngChunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const chunk = Buffer.alloc(body.length + 8)
  chunk.writeUInt32BE(data.length, 0)
  body.copy(chunk, 4)
  chunk.writeUInt32BE(crc32(body), body.length + 4)
  return chunk
}

const IHDR_END = 33

/** A whole black PNG of one bit a pixel. */
export function blackPng(width: number, height: number): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header[8] = 1
  const rows = Buffer.alloc((Math.ceil(width / 8) + 1) * height)
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    pngChunk('IHDR', header),
    pngChunk('IDAT', deflateSync(rows, { level: 1 })),
    pngChunk('IEND', new Uint8Array()),
  ])
}

/** A PNG with a colour profile put into it, its pixels as they were. */
export function withProfile(png: Buffer, profile: Buffer): Buffer {
  const chunk = pngChunk('iCCP', Buffer.concat([Buffer.from('ICC\0\0', 'latin1'), deflateSync(profile)]))
  return Buffer.concat([png.subarray(0, IHDR_END), chunk, png.subarray(IHDR_END)])
}

interface PlainTiff {
  readonly width: number
  readonly height: number
  readonly channels: number
  /** The samples, interleaved, as little-endian bytes. */
  readonly data: Uint8Array
  readonly bits: 8 | 16 | 32
  readonly isFloat?: boolean
}

/** An uncompressed TIFF in one strip: of 16 bits, of floats, of any number of channels. sharp writes none of these. */
export function plainTiff({ width, height, channels, data, bits, isFloat = false }: PlainTiff): Buffer {
  const [SHORT, LONG] = [3, 4]
  const dataAt = 8
  const directoryAt = dataAt + data.length + (data.length % 2)
  const entries = [
    [256, LONG, width],
    [257, LONG, height],
    [258, SHORT, bits],
    [259, SHORT, 1],
    [262, SHORT, channels === 3 ? 2 : 1],
    [273, LONG, dataAt],
    [277, SHORT, channels],
    [278, LONG, height],
    [279, LONG, data.length],
    [284, SHORT, 1],
    [339, SHORT, isFloat ? 3 : 1],
  ] as const
  // A tag with one value for each channel does not fit into its entry when there are more than two.
  const perChannel = new Map(
    [258, 339].map((tag, i) => [tag, directoryAt + 6 + entries.length * 12 + i * channels * 2]),
  )
  const file = Buffer.alloc(directoryAt + 6 + entries.length * 12 + 2 * channels * 2)
  file.write('II*\0', 0, 'latin1')
  file.writeUInt32LE(directoryAt, 4)
  file.set(data, dataAt)
  file.writeUInt16LE(entries.length, directoryAt)
  for (const [i, [tag, type, value]] of entries.entries()) {
    const at = directoryAt + 2 + i * 12
    const place = perChannel.get(tag)
    const isList = place !== undefined && channels > 2
    file.writeUInt16LE(tag, at)
    file.writeUInt16LE(type, at + 2)
    file.writeUInt32LE(place === undefined ? 1 : channels, at + 4)
    if (isList) file.writeUInt32LE(place, at + 8)
    else for (let c = 0; c < (place ? channels : 1); c++) file.writeUInt16LE(value & 0xffff, at + 8 + 2 * c)
    if (type === LONG) file.writeUInt32LE(value, at + 8)
    if (isList) for (let c = 0; c < channels; c++) file.writeUInt16LE(value, place + 2 * c)
  }
  return file
}
