/** The interface of readers of images by index; `open-reader.ts` has one for each kind of source. */

import type { Size } from '../source/box.ts'
import type { DecodeRules } from './decode/decode-request.ts'
import type { SizeLimits } from './decode/image-size.ts'
import type { Placement } from './decode/placement.ts'
import type { DepthRange } from './decode/raw-pixels.ts'
import type { SampleSpace } from './decode/resample-pixels.ts'
import type { RasterFacts } from './pixels.ts'

export interface WantedImage {
  readonly index: number
  /** Its row in the batch. */
  readonly row: number
  /** `crop`: its index in the space. */
  readonly place: (image: PlacedSize, crop: number) => SizedPlacement
  /** Rasters: the frames of a series to take, ascending, at most T; default: evenly spread. */
  readonly frames?: (available: number) => readonly number[]
}

/** Where a sample lies, and its size where that is not the space's. */
export type SizedPlacement = Placement & { readonly target?: Size }

/** The size of an image, or of a window with the pixels of its scene around it, which a box may include. */
export interface PlacedSize extends Size {
  readonly margin?: {
    readonly left: number
    readonly top: number
    readonly right: number
    readonly bottom: number
  }
}

/**
 * The output of a reader: `out` is [rows, height, width, channels]; for rasters float32 [rows, frames, channels, height, width], with NaN
 * for no data.
 */
export interface BatchSpace extends CropSpace, SizeLimits {
  /**
   * Further crops of the same images, with indices from 1 on. Each image file is then decoded once at full resolution, and every crop
   * resampled from it.
   */
  readonly others?: readonly CropSpace[]
  /** Images: the 16-bit values that map to 0 and 255; default null: the high byte. */
  readonly range?: DepthRange | null | undefined
  readonly rules?: DecodeRules | undefined
  /** T, of rasters. */
  readonly frames?: number
  /** Rasters: required share of pixels with data. */
  readonly minValid?: number
}

/** The output of one crop of each image. */
export interface CropSpace extends SampleSpace {
  /** Bytes from one row to the next, where samples have sizes of their own; default: those of a sample of the space's size. */
  readonly stride?: number | undefined
  /** Of rasters. */
  readonly facts?: RasterFacts | undefined
}

export const cropsOf = ({ others = [], ...first }: BatchSpace): readonly CropSpace[] => [first, ...others]

export interface ImageReader {
  /** Best number of images per call. */
  readonly together: number
  /** Best number of concurrent calls. */
  readonly atOnce: number
  /** Reads images into their rows. Returns for each the reason why it cannot be a sample, or null. */
  read(images: readonly WantedImage[], space: BatchSpace): Promise<(string | null)[]>
  close(): void
}
