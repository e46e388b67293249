/**
 * The bytes of an image file, in memory before decoding begins: a file that vanishes or a disk that fails is then a
 * plain error, and not something that happens inside libvips.
 */
import { open } from 'node:fs/promises'
import { notRegular, readOnly } from '../../files/regular-file.ts'
import { giveUpOn, isGivenUp, late, orLate } from './deadline.ts'
import { defaultFileTimeout, lateReason, megapixels } from './image-size.ts'
import { refuse } from './refused-file.ts'

/** Of the largest kind of image that is read: RGB with alpha, 16 bits each. */
const MAX_BYTES_PER_PIXEL = 8
const MAX_METADATA_BYTES = 16e6

/** More than any image of `maxPixels` can need. */
export const mostBytes = (maxPixels: number): number => maxPixels * MAX_BYTES_PER_PIXEL + MAX_METADATA_BYTES

/** Reads `path`. Throws when it cannot be read in time, is no file, is empty, or is larger than any image of `maxPixels` can be. */
export async function readImageFile(
  path: string,
  maxPixels: number,
  seconds = defaultFileTimeout,
): Promise<Buffer> {
  if (isGivenUp(path)) refuse(lateReason('reading it', seconds))
  const work = readWhole(path, maxPixels)
  const read = await orLate(work, seconds)
  if (read !== late) return read
  giveUpOn(path, work)
  return refuse(lateReason('reading it', seconds))
}

async function readWhole(path: string, maxPixels: number): Promise<Buffer> {
  const handle = await open(path, readOnly)
  try {
    const status = await handle.stat()
    if (!status.isFile()) refuse(notRegular)
    const { size } = status
    if (size === 0) refuse('the file is empty')
    if (size > mostBytes(maxPixels))
      refuse(
        `a file of ${Math.round(size / 1e6)} MB is more than an image of ${megapixels(maxPixels)} (data.maxPixels) can need`,
      )
    return await handle.readFile()
  } finally {
    await handle.close()
  }
}
