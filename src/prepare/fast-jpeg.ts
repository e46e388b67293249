/**
 * JPEG files by the addon: read and decoded in libuv's threads, only the crop, at a reduced size where the sample is smaller
 * still. What it does not understand or cannot decode is left to sharp, which also finds the words for what is wrong.
 */
import { pixelsAddon } from '../native/pixels.ts'
import type { ImageRequest } from './decode.ts'
import { mostBytes } from './image-file.ts'
import { checkSize } from './image-size.ts'
import { placeNumbers } from './resample.ts'

/** Below this a promise costs more than the decoding. */
const LARGE_PIXELS = 96 * 96
/** Of width and height, by the JPEG's own transform: a half, a quarter or an eighth. */
const LARGEST_REDUCTION = 8

/**
 * True when the sample was decoded. Else the bytes of the file where they were read, or null: sharp may try. Throws when
 * the image's size is refused.
 */
export async function decodeFastJpeg(path: string, request: ImageRequest): Promise<true | Uint8Array | null> {
  const addon = pixelsAddon()
  if (!addon?.jpeg) return null
  const read = await addon.readImage(path, mostBytes(request.maxPixels))
  if (read === null || read instanceof Uint8Array) return read
  checkSize(read, request)
  const { target, out, ...placement } = request.sample(read)
  const isDone = await addon.decodeJpeg(
    read.file,
    placeNumbers(placement),
    target.width,
    target.height,
    request.channels,
    out,
    request.isFullResolution ? 1 : LARGEST_REDUCTION,
    read.width * read.height > LARGE_PIXELS,
  )
  return isDone || null
}
