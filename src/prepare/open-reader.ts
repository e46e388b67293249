/** Opens the reader of a source: image files are decoded one by one, packed images are cropped from mapped memory a batch at a time. */
import { join } from 'node:path'
import type { Size } from '../source/box.ts'
import type { ImageFolder } from '../source/image-folder.ts'
import type { PackedImages } from '../source/packed-images.ts'
import type { RasterFolder } from '../source/raster/raster-folder.ts'
import { type PlacedImages, placedReader } from './cache/placed-reader.ts'
import { tryDecode } from './decode/decode.ts'
import { type ReadImage, readImages } from './decode/fast-jpeg.ts'
import { resample, sampleBytes } from './decode/resample-pixels.ts'
import { wholeImage } from './decode/whole-image.ts'
import { type BatchSpace, cropsOf, type ImageReader, type WantedImage } from './image-reader.ts'
import { packedReader } from './pack/packed-reader.ts'
import { rasterReader } from './raster/raster-reader.ts'

/** The part of each kind of source that its reader needs. */
interface Readable {
  readonly images: Pick<ImageFolder, 'kind' | 'dir' | 'files'>
  readonly packed: Pick<PackedImages, 'kind' | 'dir' | 'files' | 'pack'>
  readonly placed: Pick<PlacedImages, 'kind' | 'dir' | 'files' | 'size' | 'unusable'>
  readonly rasters: Pick<RasterFolder, 'kind' | 'dir' | 'files' | 'rasters'>
}
export type ReadableSource = Readable[keyof Readable]

/** A new kind of source is one row. */
const readers: { readonly [K in keyof Readable]: (source: Readable[K], threads: number) => ImageReader } = {
  images: folderReader,
  packed: packedReader,
  placed: placedReader,
  rasters: rasterReader,
}

/** `threads`: images decoded concurrently. */
export const openReader = <K extends keyof Readable>(
  source: Readable[K] & { kind: K },
  threads: number,
): ImageReader => readers[source.kind](source, threads)

/** Small files read per call. */
const FILES_TOGETHER = 8

function folderReader(source: Pick<ImageFolder, 'dir' | 'files'>, threads: number): ImageReader {
  return {
    together: FILES_TOGETHER,
    atOnce: threads,
    async read(images, space) {
      const { out, others, target: usual, stride = sampleBytes(space), ...request } = space
      const paths = images.map(({ index }) => join(source.dir, source.files[index]!))
      const files = await readImages(paths, request.maxPixels, request.fileTimeout)
      const reasons: (string | null)[] = []
      for (const [i, image] of images.entries()) {
        if (others) {
          reasons.push(await readCrops(paths[i]!, image, space, files[i]))
          continue
        }
        const sample = (size: Size) => {
          const { target = usual, ...placement } = image.place(size, 0)
          const at = image.row * stride
          const own = out.subarray(at, at + sampleBytes({ ...request, target }))
          return { ...placement, target, out: own }
        }
        reasons.push(await tryDecode(paths[i]!, { ...request, sample }, files[i]))
      }
      return reasons
    },
    close: () => {},
  }
}

/** Decodes an image once, at full resolution, and resamples every crop from it. */
async function readCrops(
  path: string,
  { row, place }: WantedImage,
  space: BatchSpace,
  file: ReadImage | undefined,
): Promise<string | null> {
  const { minSide, maxPixels, range, corrupt, fileTimeout, rules = {} } = space
  const limits = { minSide, maxPixels, range, corrupt, fileTimeout }
  const image = await wholeImage(path, { ...limits, channels: 3, rules }, file)
  if (typeof image === 'string') return image
  for (const [crop, { target, channels, out }] of cropsOf(space).entries()) {
    const bytes = sampleBytes({ target, channels, rules })
    const own = out.subarray(row * bytes, (row + 1) * bytes)
    resample(image, place(image, crop), { target, channels, out: own, rules })
  }
  return null
}
