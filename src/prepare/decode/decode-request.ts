/** What is asked of a decoder. */
import type { Size } from '../../source/box.ts'
import type { SizeLimits } from './image-size.ts'
import type { DepthRange } from './raw-pixels.ts'
import type { Placement, SampleSpace } from './resample-pixels.ts'

export interface DecodeRequest extends SizeLimits {
  /** The sample's size. */
  readonly target: Size
  /** 3: sRGB. 1: luma (ITU-R 601, as Pillow and torchvision have it). */
  readonly channels: number
  /** What of 16-bit values becomes 0 and 255; null, the default: the high byte. */
  readonly range?: DepthRange | null | undefined
  /** `image`: the size after EXIF orientation. */
  readonly place: (image: Size) => Placement
}

/** As `DecodeRequest`, for a sample whose own size follows from the image's. */
export interface ImageRequest extends SizeLimits {
  readonly channels: number
  readonly range?: DepthRange | null | undefined
  /** A JPEG is never decoded at a reduced size. */
  readonly isFullResolution?: boolean
  readonly sample: (image: Size) => Placement & Pick<SampleSpace, 'target' | 'out'>
}
