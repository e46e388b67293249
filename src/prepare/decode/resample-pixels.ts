/** Decoded pixels → a sample: by the addon in one pass, or by resize.ts and sample-layout.ts, with the same bytes. */
import { pixelsAddon } from '../../native/pixels-addon.ts'
import type { Box, Size } from '../../source/box.ts'
import { type RgbImage, resizeBicubic } from './resize.ts'
import { storeSample } from './sample-layout.ts'

/** Where a sample lies in its image. */
export interface Placement {
  readonly box: Box
  /** Mirrored left to right. */
  readonly flip: boolean
}

export interface SampleSpace {
  readonly target: Size
  /** 3: as they are. 1: luma. */
  readonly channels: number
  /** [target.height, target.width, channels] */
  readonly out: Uint8Array
}

/** As the addon takes a placement. */
export const placeNumbers = ({ box, flip }: Placement): Float64Array =>
  Float64Array.of(box.left, box.top, box.width, box.height, flip ? 1 : 0)

/** The box of an image, resized, mirrored, and as luma where one channel is wanted. */
export function resample(
  image: RgbImage,
  placement: Placement,
  { target, channels, out }: SampleSpace,
): void {
  const addon = pixelsAddon()
  const { pixels, width, height } = image
  if (addon)
    addon.resize(
      pixels,
      width,
      height,
      3,
      placeNumbers(placement),
      target.width,
      target.height,
      channels,
      out,
    )
  else
    storeSample(resizeBicubic(image, placement.box, target), out, {
      width: target.width,
      channels,
      flip: placement.flip,
    })
}
