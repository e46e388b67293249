/**
 * The one way from an image's index to its pixels, whatever the source is. `folder` decodes file by file, `packed` cuts a
 * whole batch out of mapped memory at once; who asks need not know.
 */
import { join } from 'node:path'
import type { ImageFolder } from '../source/image-folder.ts'
import type { PackedImages } from '../source/packed-images.ts'
import type { Size } from './crop.ts'
import { tryDecodeImage } from './decode.ts'
import type { SizeLimits } from './image-size.ts'
import { packedReader } from './packed-reader.ts'
import type { Placement, SampleSpace } from './resample.ts'

/** One image that is wanted. */
export interface WantedImage {
  readonly index: number
  /** Its row in the batch. */
  readonly row: number
  readonly place: (image: Size) => Placement
}

/** Where the samples go: `out` is [rows, height, width, channels]. */
export interface BatchSpace extends SampleSpace, SizeLimits {}

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
export type ReadableSource = Pick<ImageFolder, 'dir' | 'files'> | Pick<PackedImages, 'dir' | 'files' | 'pack'>

/** `threads`: how many images are decoded at once. */
export function openReader(source: ReadableSource, threads: number): ImageReader {
  return 'pack' in source ? packedReader(source, threads) : folderReader(source, threads)
}

function folderReader(source: Pick<ImageFolder, 'dir' | 'files'>, threads: number): ImageReader {
  const readOne = ({ index, row, place }: WantedImage, { out, ...request }: BatchSpace) => {
    const bytes = request.target.width * request.target.height * request.channels
    const pixels = out.subarray(row * bytes, (row + 1) * bytes)
    return tryDecodeImage(join(source.dir, source.files[index]!), { ...request, place }, pixels)
  }
  return {
    together: 1,
    atOnce: threads,
    read: (images, space) => Promise.all(images.map((image) => readOne(image, space))),
    close: () => {},
  }
}
