/** What is asked of a decoder. */
import type { Size } from '../../source/box.ts'
import type { SizeLimits } from './image-size.ts'
import type { Placement } from './placement.ts'
import type { DepthRange } from './raw-pixels.ts'
import type { SampleSpace } from './resample-pixels.ts'
import type { PixelRules } from './resize.ts'

/** What becomes of colours: as a viewer shows them, or as the file stores them, made RGB before they are resized or afterwards. */
export const colourRules = ['shown', 'stored', 'resized'] as const

export interface DecodeRules extends PixelRules {
  /**
   * `shown`, the default: colour profiles are applied, alpha is laid over white, inks become what a printer makes of them. `stored`: as
   * Pillow's `convert("RGB")`, without profiles, alpha dropped, inks subtracted from white. `resized`: the same of the resized image, in which
   * what is transparent weighs nothing.
   */
  readonly colours?: (typeof colourRules)[number]
}

export interface DecodeRequest extends SizeLimits {
  /** The sample's size. */
  readonly target: Size
  /** 3: sRGB. 1: luma (ITU-R 601, as Pillow and torchvision have it). */
  readonly channels: number
  /** What of 16-bit values becomes 0 and 255; null, the default: the high byte. */
  readonly range?: DepthRange | null | undefined
  readonly rules?: DecodeRules | undefined
  /** `image`: the size after EXIF orientation. */
  readonly place: (image: Size) => Placement
}

/** As `DecodeRequest`, for a sample whose own size follows from the image's. */
export interface ImageRequest extends SizeLimits {
  readonly channels: number
  readonly range?: DepthRange | null | undefined
  readonly rules?: DecodeRules | undefined
  /** A JPEG is never decoded at a reduced size. */
  readonly isFullResolution?: boolean
  readonly sample: (image: Size) => Placement & Pick<SampleSpace, 'target' | 'out'>
}
