/** Whole images at their full size, as packing and caches keep them. */
import { tryDecode } from './decode.ts'
import type { ImageRequest } from './decode-request.ts'
import type { ReadImage } from './fast-jpeg.ts'
import type { RgbImage } from './resize.ts'

export type WholeRequest = Omit<ImageRequest, 'sample' | 'isFullResolution'>

/** [height, width, channels] bytes, or the reason why the file cannot be a sample. */
export async function wholeImage(
  path: string,
  request: WholeRequest,
  read?: ReadImage,
): Promise<RgbImage | string> {
  let image: RgbImage | null = null
  const reason = await tryDecode(
    path,
    {
      ...{ ...request, isFullResolution: true, rules: { ...request.rules, isExact: false } },
      sample: (size) => {
        image = { ...size, pixels: new Uint8Array(size.width * size.height * request.channels) }
        return { target: size, out: image.pixels, box: { left: 0, top: 0, ...size }, flip: false }
      },
    },
    read,
  )
  return reason ?? image!
}
