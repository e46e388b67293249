/** What reads images of a source by their indices; `open-reader.ts` has one for each kind of source. */
import type { Size } from '../source/box.ts'
import type { SizeLimits } from './decode/image-size.ts'
import type { DepthRange } from './decode/raw-pixels.ts'
import type { Placement, SampleSpace } from './decode/resample-pixels.ts'

/** One image that is wanted. */
export interface WantedImage {
  readonly index: number
  /** Its row in the batch. */
  readonly row: number
  /** `crop`: its number in the space. */
  readonly place: (image: PlacedSize, crop: number) => Placement
  /** Rasters: which frames of a series to take, ascending, at most T; evenly spread when it is not given. */
  readonly frames?: (available: number) => readonly number[]
}

/** The size of an image, or of a window and how many pixels of its scene lie around it: a box may reach into them. */
export interface PlacedSize extends Size {
  readonly margin?: {
    readonly left: number
    readonly top: number
    readonly right: number
    readonly bottom: number
  }
}

/**
 * Where the samples go: `out` is [rows, height, width, channels]; of rasters, float32 [rows, frames, channels, height, width], in
 * which NaN is no data.
 */
export interface BatchSpace extends CropSpace, SizeLimits {
  /**
   * Crops of the same images beside the first, by their numbers from 1 on. An image file is then decoded whole, once, and every crop
   * resampled from it.
   */
  readonly others?: readonly CropSpace[]
  /** Images: what of 16-bit values becomes 0 and 255; null, the default: the high byte. */
  readonly range?: DepthRange | null | undefined
  /** T, of rasters. */
  readonly frames?: number
  /** Rasters: share of pixels that must hold data. */
  readonly minValid?: number
}

/** Where one crop of each image goes. */
export interface CropSpace extends SampleSpace {
  /** Rasters: [rows, 1 + T] metres a pixel of the sample, and each frame's time in milliseconds; NaN where unknown. */
  readonly facts?: Float64Array
}

/** The crops of a space by number. */
export const cropsOf = ({ others = [], ...first }: BatchSpace): readonly CropSpace[] => [first, ...others]

export interface ImageReader {
  /** How many images are best asked for in one call. */
  readonly together: number
  /** How many calls run best at once. */
  readonly atOnce: number
  /** Reads images to their rows. Gives for each why it cannot be a sample, or null when it was read. */
  read(images: readonly WantedImage[], space: BatchSpace): Promise<(string | null)[]>
  close(): void
}
