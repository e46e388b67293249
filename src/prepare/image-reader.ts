/**
 * The one way from an image's index to its pixels, whatever the source is. `folder` decodes file by file, `packed` cuts a
 * whole batch out of mapped memory at once; who asks need not know.
 */
import { join } from 'node:path'
import type { ImageFolder } from '../source/image-folder.ts'
import type { PackedImages } from '../source/packed-images.ts'
import type { RasterFolder } from '../source/raster/raster-folder.ts'
import type { Size } from './crop.ts'
import { tryDecodeImage } from './decode/decode.ts'
import { readImages } from './decode/fast-jpeg.ts'
import type { SizeLimits } from './decode/image-size.ts'
import type { DepthRange } from './decode/raw-pixels.ts'
import type { Placement, SampleSpace } from './decode/resample-pixels.ts'
import { packedReader } from './pack/packed-reader.ts'
import { rasterReader } from './raster/raster-reader.ts'

/** One image that is wanted. */
export interface WantedImage {
  readonly index: number
  /** Its row in the batch. */
  readonly row: number
  readonly place: (image: PlacedSize) => Placement
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
export interface BatchSpace extends SampleSpace, SizeLimits {
  /** Images: what of 16-bit values becomes 0 and 255; null, the default: the high byte. */
  readonly range?: DepthRange | null | undefined
  /** T, of rasters. */
  readonly frames?: number
  /** Rasters: share of pixels that must hold data. */
  readonly minValid?: number
  /** Rasters: [rows, 1 + T] metres a pixel of the sample, and each frame's time in milliseconds; NaN where unknown. */
  readonly facts?: Float64Array
}

export interface ImageReader {
  /** How many images are best asked for in one call. */
  readonly together: number
  /** How many calls run best at once. */
  readonly atOnce: number
  /** Reads images to their rows. Gives for each why it cannot be a sample, or null when it was read. */
  read(images: readonly WantedImage[], space: BatchSpace): Promise<(string | null)[]>
  close(): void
}

/** What a reader needs of a source. */
export type ReadableSource =
  | Pick<ImageFolder, 'dir' | 'files'>
  | Pick<PackedImages, 'dir' | 'files' | 'pack'>
  | Pick<RasterFolder, 'dir' | 'files' | 'rasters'>

/** `threads`: how many images are decoded at once. */
export function openReader(source: ReadableSource, threads: number): ImageReader {
  if ('pack' in source) return packedReader(source, threads)
  return 'rasters' in source ? rasterReader(source, threads) : folderReader(source, threads)
}

/** So many small files are read in one go; the decoding between two such goes is short. */
const FILES_TOGETHER = 8

function folderReader(source: Pick<ImageFolder, 'dir' | 'files'>, threads: number): ImageReader {
  return {
    together: FILES_TOGETHER,
    atOnce: threads,
    async read(images, { out, ...request }) {
      const bytes = request.target.width * request.target.height * request.channels
      const paths = images.map(({ index }) => join(source.dir, source.files[index]!))
      const files = await readImages(paths, request.maxPixels, request.fileTimeout)
      const reasons: (string | null)[] = []
      for (const [i, { row, place }] of images.entries()) {
        const pixels = out.subarray(row * bytes, (row + 1) * bytes)
        reasons.push(await tryDecodeImage(paths[i]!, { ...request, place }, pixels, files[i]))
      }
      return reasons
    },
    close: () => {},
  }
}
