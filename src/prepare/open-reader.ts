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
