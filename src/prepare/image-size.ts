/** Which sizes of images are refused, whatever they are decoded by. */
import type { Size } from './crop.ts'
import { refuse } from './refusal.ts'

export interface SizeLimits {
  /** An image with a side shorter than this is refused. */
  readonly minSide: number
  /** An image of more pixels than this is refused. */
  readonly maxPixels: number
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

export function megapixels(pixels: number): string {
  return `${pixels / 1e6} megapixels`
}
