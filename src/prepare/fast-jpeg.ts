/**
 * JPEG files by the addon: read and decoded in libuv's threads, only the crop, at a reduced size where the sample is much
 * smaller still. What it does not understand or cannot decode is left to sharp, which also finds the words for what is wrong.
 */
import { type PlainJpeg, pixelsAddon } from '../native/pixels.ts'
import { damageReason } from './damage.ts'
import type { ImageRequest } from './decode.ts'
import { mostBytes } from './image-file.ts'
import { checkSize, defaultFileTimeout, lateReason } from './image-size.ts'
import { refuse } from './refusal.ts'
import { placeNumbers } from './resample.ts'

/** Below this a promise costs more than the decoding. */
const LARGE_PIXELS = 96 * 96
/** Of width and height, by the JPEG's own transform: a half, a quarter or an eighth. */
const LARGEST_REDUCTION = 8

/** A file as the addon has read it: a JPEG that it can decode, another file's bytes, or null. */
export type ReadImage = PlainJpeg | Uint8Array | null

/** Reads files in one go. Gives none without the addon, and only the first ones where they are large. */
export async function readImages(paths: readonly string[], maxPixels: number): Promise<ReadImage[]> {
  const addon = pixelsAddon()
  return addon?.jpeg ? addon.readImages(paths, mostBytes(maxPixels)) : []
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
    placeNumbers(placement),
    target.width,
    target.height,
    request.channels,
    out,
    request.isFullResolution ? 1 : LARGEST_REDUCTION,
    jpeg.width * jpeg.height > LARGE_PIXELS,
    corrupt === 'keep',
    1000 * fileTimeout,
  )
  if (outcome === 'late') refuse(lateReason('decoding it', fileTimeout))
  if (typeof outcome === 'object') refuse(damageReason(outcome.damage))
  return outcome === 'decoded'
}
