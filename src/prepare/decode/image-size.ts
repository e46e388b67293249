/** Which images are refused, whatever they are decoded by. */
import type { Size } from '../../source/box.ts'
import type { Corruption } from './damage.ts'
import { refuse } from './refused-file.ts'

export interface SizeLimits {
  /** An image with a side shorter than this is refused. */
  readonly minSide: number
  /** An image of more pixels than this is refused. */
  readonly maxPixels: number
  /** What becomes of damaged images: `keep` takes them, anything else, the default, refuses them. */
  readonly corrupt?: Corruption | undefined
  /** Seconds that reading a file may take, and decoding it; 30. */
  readonly fileTimeout?: number | undefined
}

export function checkSize({ width, height }: Size, { minSide, maxPixels }: SizeLimits): void {
  const shape = `${width} x ${height} pixels`
  if (width * height > maxPixels)
    refuse(
      `${shape} are more than the limit of ${megapixels(maxPixels)}; shrink the image, or raise the limit (data.maxPixels, --max-pixels)`,
    )
  if (Math.min(width, height) < minSide)
    refuse(
      `${shape} are less than one patch of ${minSide} x ${minSide}; remove the image, or use smaller patches`,
    )
}

/** Of `fileTimeout`. */
export const defaultFileTimeout = 30

/** The reason why a file is left out that took too long. */
export const lateReason = (doing: string, seconds: number): string =>
  `${doing} took more than ${seconds} s (data.fileTimeout, --file-timeout)`

export function megapixels(pixels: number): string {
  return `${pixels / 1e6} megapixels`
}
