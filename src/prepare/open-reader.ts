/**
 * The one way from an image's index to its pixels, whatever the source is. `folder` decodes file by file, `packed` cuts a
 * whole batch out of mapped memory at once; who asks need not know.
 */
import { join } from 'node:path'
import type { ImageFolder } from '../source/image-folder.ts'
import type { PackedImages } from '../source/packed-images.ts'
import type { RasterFolder } from '../source/raster/raster-folder.ts'
import { tryDecodeImage } from './decode/decode.ts'
import { readImages } from './decode/fast-jpeg.ts'
import type { ImageReader } from './image-reader.ts'
import { packedReader } from './pack/packed-reader.ts'
import { rasterReader } from './raster/raster-reader.ts'

/** What a reader needs of each kind of source. */
interface Readable {
  readonly images: Pick<ImageFolder, 'kind' | 'dir' | 'files'>
  readonly packed: Pick<PackedImages, 'kind' | 'dir' | 'files' | 'pack'>
  readonly rasters: Pick<RasterFolder, 'kind' | 'dir' | 'files' | 'rasters'>
}
export type ReadableSource = Readable[keyof Readable]

/** A new kind of source is one row. */
const readers: { readonly [K in keyof Readable]: (source: Readable[K], threads: number) => ImageReader } = {
  images: folderReader,
  packed: packedReader,
  rasters: rasterReader,
}

/** `threads`: how many images are decoded at once. */
export const openReader = <K extends keyof Readable>(
  source: Readable[K] & { kind: K },
  threads: number,
): ImageReader => readers[source.kind](source, threads)

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
