/** Images with masks, in order, cropped and resized alike, for segmentation. */
import { SherdError } from '../../errors.ts'
import type { Size } from '../../source/box.ts'
import type { MaskedFolder } from '../../source/masked-folder.ts'
import { centerCrop } from '../crop.ts'
import { configureDecoder } from '../decode/decode.ts'
import type { SizeLimits } from '../decode/image-size.ts'
import type { DepthRange } from '../decode/raw-pixels.ts'
import { reasonOf } from '../decode/refused-file.ts'
import { openReader } from '../open-reader.ts'
import { type Pixels, pickRows, pickSamples, sampleSpace } from '../pixels.ts'
import { type SkippedFile, skipLedger } from '../skipped.ts'
import { readIndexMask, resizeMask } from './index-mask.ts'

export interface MaskedImagesOptions extends SizeLimits {
  readonly height: number
  readonly width: number
  /** 1 or 3. */
  readonly channels: number
  readonly batchSize: number
  /** Images decoded concurrently. */
  readonly decodeThreads: number
  readonly maxSkippedShare: number
  /** T of rasters; null (default) for images. */
  readonly frames?: number | null
  readonly minValid?: number
  readonly range?: DepthRange | null
}

export type MaskedImages = Pixels & {
  /** [B, height, width] class indices. */
  readonly masks: Uint16Array
  /** The index in the folder of each image. */
  readonly indices: readonly number[]
}

const shown = ({ width, height }: Size) => `${width} × ${height}`

/**
 * Centre crops of all images, and the same crops of their masks (nearest neighbour). Unreadable pairs are skipped and reported to `onSkip`;
 * throws `DATA_BROKEN` if there are too many, `SOURCE` if the sizes of a mask and its image (after EXIF orientation) differ. `from`: the
 * batches behind the one that ends there, cut as in a whole reading.
 */
export async function* maskedImages(
  { images, masks: maskFiles }: MaskedFolder,
  options: MaskedImagesOptions,
  onSkip: (skipped: SkippedFile) => void,
  from = 0,
): AsyncGenerator<MaskedImages> {
  const {
    height,
    width,
    channels,
    batchSize,
    decodeThreads,
    maxSkippedShare,
    frames = null,
    ...limits
  } = options
  configureDecoder()
  const target = { width, height }
  const files = images.files.length
  const ledger = skipLedger({ files, maxShare: maxSkippedShare, corrupt: limits.corrupt }, onSkip)
  const reader = openReader(images, decodeThreads)
  const readPair = async (index: number, row: number, { out, facts, masks }: Space) => {
    let size: Size = target
    const place = (image: Size) => {
      size = image
      return { box: centerCrop(image, target), flip: false }
    }
    const [reason = null] = await reader.read([{ index, row, place }], {
      ...{ target, channels, ...limits, out },
      ...(frames !== null && { frames }),
      facts,
    })
    if (reason !== null) return ledger.add({ file: images.files[index]!, reason })
    const path = maskFiles[index]!
    const mask = await readIndexMask(path, limits.maxPixels).catch((error: unknown) => {
      ledger.add({ file: images.files[index]!, reason: `its mask ${path}: ${reasonOf(error)}` })
    })
    if (!mask) return
    if (mask.width !== size.width || mask.height !== size.height)
      throw new SherdError(
        'SOURCE',
        `${path} is ${shown(mask)}, but its image ${images.files[index]} is ${shown(size)}: expected a mask as large as the image.`,
      )
    masks.set(resizeMask(mask, centerCrop(mask, target), target), row * height * width)
    return index
  }
  try {
    for (let first = Math.ceil(from / batchSize) * batchSize; first < files; first += batchSize) {
      const count = Math.min(batchSize, files - first)
      const space: Space = {
        ...sampleSpace(count, options),
        masks: new Uint16Array(count * height * width),
      }
      const read: (number | undefined)[] = Array.from({ length: count })
      let next = 0
      const readInTurn = async () => {
        for (let row = next++; row < count; row = next++)
          read[row] = (await readPair(first + row, row, space)) ?? undefined
      }
      await Promise.all(Array.from({ length: reader.atOnce }, readInTurn))
      const rows = read.flatMap((index, row) => (index === undefined ? [] : [row]))
      if (rows.length === 0) continue
      yield {
        ...pickSamples(space.samples, rows),
        masks: pickRows(space.masks, count, rows),
        indices: rows.map((row) => first + row),
      }
    }
  } finally {
    reader.close()
  }
}

/** The memory of a batch. */
type Space = ReturnType<typeof sampleSpace> & { readonly masks: Uint16Array }
