/**
 * JPEG files by the addon: read and decoded in libuv's threads, only the crop, at a reduced size where the sample is much
 * smaller still. What it does not understand or cannot decode is left to sharp, which also finds the words for what is wrong.
 */
import { type PlainJpeg, pixelsAddon } from '../../native/pixels-addon.ts'
import { damageReason } from './damage.ts'
import { giveUpOn, isGivenUp, late, orLate } from './deadline.ts'
import type { ImageRequest } from './decode-request.ts'
import { mostBytes } from './image-file.ts'
import { checkSize, defaultFileTimeout, lateReason } from './image-size.ts'
import { refuse } from './refused-file.ts'
import { placeNumbers } from './resample-pixels.ts'

/** Below this a promise costs more than the decoding. */
const LARGE_PIXELS = 96 * 96
/** Of width and height, by the JPEG's own transform: a half, a quarter or an eighth. */
const LARGEST_REDUCTION = 8

/** A file as the addon has read it: a JPEG that it can decode, another file's bytes, null, or `late` when it could not be read in time. */
export type ReadImage = PlainJpeg | Uint8Array | typeof late | null

/** Reads files in one go. Gives none without the addon, and only the first ones where they are large. */
export async function readImages(
  paths: readonly string[],
  maxPixels: number,
  seconds = defaultFileTimeout,
): Promise<ReadImage[]> {
  const addon = pixelsAddon()
  if (!addon?.jpeg || paths.length === 0) return []
  /** The files before one that could not be read, and that one; the caller reads the others one by one. */
  const upTo = async (place: number): Promise<ReadImage[]> => {
    const before = await readImages(paths.slice(0, place), maxPixels, seconds)
    return before.length === place ? [...before, late] : before
  }
  const known = paths.findIndex(isGivenUp)
  if (known >= 0) return upTo(known)
  const at = new Int32Array(new SharedArrayBuffer(4)) // the place of the file that is being read
  const work = addon.readImages(paths, mostBytes(maxPixels), at)
  for (;;) {
    const place = Atomics.load(at, 0)
    const read = await orLate(work, seconds)
    if (read !== late) return read
    if (Atomics.load(at, 0) !== place) continue // slow, but progressing
    giveUpOn(paths[place]!, work)
    return upTo(place)
  }
}

/** The same of one file that is in memory. */
export function openImage(bytes: Uint8Array): PlainJpeg | Uint8Array {
  const addon = pixelsAddon()
  return (addon?.jpeg ? addon.openImage(bytes) : null) ?? bytes
}

/** False when it cannot be decoded: sharp may try. Throws when the image is refused: its size, damage, the time that it takes. */
export async function decodeFastJpeg(jpeg: PlainJpeg, request: ImageRequest): Promise<boolean> {
  checkSize(jpeg, request)
  const { target, out, ...placement } = request.sample(jpeg)
  const { corrupt, fileTimeout = defaultFileTimeout } = request
  const outcome = await pixelsAddon()!.decodeJpeg(
    jpeg.file,
    Float64Array.from(placeNumbers(placement, { target, rules: request.rules })),
    target.width,
    target.height,
    request.channels,
    out,
    // What other libraries cut out of a whole image is made of all its pixels.
    request.isFullResolution || placement.cut ? 1 : LARGEST_REDUCTION,
    jpeg.width * jpeg.height > LARGE_PIXELS,
    corrupt === 'keep',
    1000 * fileTimeout,
  )
  if (outcome === 'late') refuse(lateReason('decoding it', fileTimeout))
  if (typeof outcome === 'object') refuse(damageReason(outcome.damage))
  return outcome === 'decoded'
}
