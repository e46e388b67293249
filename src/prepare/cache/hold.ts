/**
 * Images held in memory as whole, decoded bytes, shared by all threads: as packed images (`sherd pack`) whose files are not opened. Indices,
 * labels and names stay those of the source; what cannot be decoded keeps its place with the reason.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { pause, SherdError } from '../../errors.ts'
import { availableBytes } from '../../machine/memory.ts'
import type { ImageFolder } from '../../source/image-folder.ts'
import type { Pack, PackedFile, PackedImages } from '../../source/packed-images.ts'
import { configureDecoder } from '../decode/decode.ts'
import { readImages } from '../decode/fast-jpeg.ts'
import { type WholeRequest, wholeImage } from '../decode/whole-image.ts'

export interface HoldOptions {
  readonly request: Omit<WholeRequest, 'channels' | 'minSide'>
  /** The most bytes of pixels. Default: half of what is free. */
  readonly mostBytes?: number
  readonly signal?: AbortSignal | undefined
}

const CHANNELS = 3
/** Of pixels in one piece; an image may be larger. */
const PIECE_BYTES = 2 ** 26
const FILES_TOGETHER = 8

export const gigabytes = (bytes: number): string => `${(bytes / 1e9).toPrecision(3)} GB`

const sharedBytes = (length: number) => new Uint8Array(new SharedArrayBuffer(length))

/** Throws `CONFIG` where the pixels do not fit, `SOURCE` for a pack that was cut, `INTERRUPTED`. */
export function holdImages(
  source: ImageFolder | PackedImages,
  { mostBytes = availableBytes() / 2, ...options }: HoldOptions,
): Promise<PackedImages> {
  const expectRoom = (bytes: number, isAll: boolean) => {
    if (bytes > mostBytes)
      throw new SherdError(
        'CONFIG',
        `data.cache keeps decoded images in memory: ${isAll ? '' : 'the first of '}those of ${source.dir} take ${gigabytes(bytes)}, more than the ${gigabytes(mostBytes)} that are half of what is free. Take data.cache=none, fewer images, or smaller ones (sherd pack --short-side).`,
      )
  }
  return source.kind === 'packed'
    ? holdPack(source, expectRoom, options)
    : holdFolder(source, expectRoom, options)
}

type ExpectRoom = (bytes: number, isAll: boolean) => void

async function holdPack(
  source: PackedImages,
  expectRoom: ExpectRoom,
  { signal }: Pick<HoldOptions, 'signal'>,
): Promise<PackedImages> {
  const { pack } = source
  const { offsets, files } = pack
  const images = source.files.length
  expectRoom(offsets[images]!, true)
  const held: PackedFile[] = []
  for (const [number, { path, start, first }] of files.entries()) {
    const end = files[number + 1]?.first ?? images
    const file = openSync(path, 'r')
    try {
      for (let from = first, to = first; from < end; from = to) {
        while (to < end && (to === from || offsets[to + 1]! - offsets[from]! <= PIECE_BYTES)) to++
        const bytes = sharedBytes(offsets[to]! - offsets[from]!)
        const at = start + offsets[from]! - offsets[first]!
        for (let done = 0; done < bytes.length; ) {
          const read = readSync(file, bytes, done, bytes.length - done, at + done)
          if (read === 0)
            throw new SherdError('SOURCE', `${path} was cut while it was in use. Pack the images again.`)
          done += read
        }
        held.push({ path, start: 0, first: from, held: bytes })
        await pause(signal, { done: to, of: images, continues: false })
      }
    } finally {
      closeSync(file)
    }
  }
  return { ...source, pack: { ...pack, files: held } }
}

async function holdFolder(
  source: ImageFolder,
  expectRoom: ExpectRoom,
  { request, signal }: Omit<HoldOptions, 'mostBytes'>,
): Promise<PackedImages> {
  configureDecoder()
  const images = source.files.length
  const shapes = new Int32Array(2 * images)
  const offsets = new Float64Array(images + 1)
  const unusable = new Map<number, string>()
  const held: PackedFile[] = []
  let piece = { bytes: sharedBytes(0), used: 0 }
  const keep = (index: number, pixels: Uint8Array) => {
    if (piece.used + pixels.length > piece.bytes.length) {
      piece = { bytes: sharedBytes(Math.max(PIECE_BYTES, pixels.length)), used: 0 }
      held.push({ path: source.dir, start: 0, first: index, held: piece.bytes })
    }
    piece.bytes.set(pixels, piece.used)
    piece.used += pixels.length
  }
  const decode = async (indices: readonly number[]) => {
    const paths = indices.map((index) => join(source.dir, source.files[index]!))
    const read = await readImages(paths, request.maxPixels, request.fileTimeout)
    const whole = { ...request, channels: CHANNELS, minSide: 1 }
    const decoded = []
    for (const [i, path] of paths.entries()) decoded.push(await wholeImage(path, whole, read[i]))
    return decoded
  }
  const together = FILES_TOGETHER * availableParallelism()
  for (let first = 0; first < images; first += together) {
    const calls = Array.from(
      { length: Math.ceil(Math.min(together, images - first) / FILES_TOGETHER) },
      (_, call) => {
        const from = first + call * FILES_TOGETHER
        return decode(Array.from({ length: Math.min(FILES_TOGETHER, images - from) }, (_, i) => from + i))
      },
    )
    for (const [i, image] of (await Promise.all(calls)).flat().entries()) {
      const index = first + i
      const pixels = typeof image === 'string' ? new Uint8Array() : image.pixels
      offsets[index + 1] = offsets[index]! + pixels.length
      if (typeof image === 'string') unusable.set(index, image)
      else shapes.set([image.height, image.width], 2 * index)
      expectRoom(offsets[index + 1]!, index + 1 === images)
      if (pixels.length > 0) keep(index, pixels)
    }
    await pause(signal, { done: Math.min(images, first + together), of: images, continues: false })
  }
  const pack: Pack = { channels: CHANNELS, shapes, offsets, files: held, content: '', unusable }
  return { ...source, kind: 'packed', pack }
}
