/** An image file as pixels, by the browser's own decoder: first frame, EXIF orientation and colour profile applied. */
import { messageOf, SherdError } from '../../src/errors.ts'
import type { RgbImage } from '../../src/prepare/decode/resize.ts'
import { overWhite } from './prepare-pixels.ts'

const MOST_PIXELS = 100e6 // as sherd's own decoder

/** Throws `DECODE`. */
export async function decodeImage(name: string, image: Blob): Promise<RgbImage> {
  let bitmap: ImageBitmap
  try {
    bitmap = await createImageBitmap(image, { imageOrientation: 'from-image', premultiplyAlpha: 'none' })
  } catch (cause) {
    throw new SherdError(
      'DECODE',
      `${name} is no image that this browser can read (${image.type || 'unknown type'}, ${image.size} bytes): expected JPEG, PNG, WebP, AVIF or GIF.`,
      { cause },
    )
  }
  const { width, height } = bitmap
  try {
    if (width * height > MOST_PIXELS)
      throw new SherdError('DECODE', `${name} has ${width} × ${height} pixels: expected at most 100 million.`)
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })
    if (!context) throw new Error('no canvas of this size')
    context.drawImage(bitmap, 0, 0)
    return overWhite(context.getImageData(0, 0, width, height).data, { width, height })
  } catch (cause) {
    if (cause instanceof SherdError) throw cause
    const why = messageOf(cause)
    throw new SherdError('DECODE', `${name} cannot be unpacked here (${width} × ${height} pixels): ${why}`, {
      cause,
    })
  } finally {
    bitmap.close()
  }
}
