/**
 * (epoch, index) → the pixels of that sample, or of its substitute when the file cannot be decoded. Batches therefore
 * stay full, and what a sample is depends on its address and on the files alone: not on batch size, threads, timing or on
 * where a run was resumed. That is why a bad file is tried again each time its turn comes: a truncated image fails
 * in some crops only, and a memory of earlier failures would make the data depend on the past.
 */
import { join } from 'node:path'
import { draws } from '../random/draws.ts'
import type { ImageFolder } from '../source/image-folder.ts'
import { type CropKind, crops, type Size } from './crop.ts'
import { tryDecodeImage } from './decode.ts'
import type { Placement } from './resample.ts'
import type { SampleAddress } from './sample-order.ts'
import type { SkipLedger } from './skipped.ts'

/** How a file becomes a sample. */
export interface SampleSettings {
  /** Of the prepared sample, in pixels. */
  readonly height: number
  readonly width: number
  /** 1 (luma) or 3 (sRGB). */
  readonly channels: number
  readonly crop: CropKind
  /** Share of the image's area, least and largest; only for the random crop. */
  readonly scale: readonly [number, number]
  /** Width / height, least and largest; only for the random crop. */
  readonly ratio: readonly [number, number]
  /** Mirror half of the samples left to right. */
  readonly flip: boolean
  readonly seed: number
  /** Images with a side shorter than this (the patch) are skipped. */
  readonly minSide: number
  /** Images of more pixels than this are skipped. */
  readonly maxPixels: number
}

/** Decodes into `out` [height, width, channels] and returns the index that was used: the given one or a substitute's. */
export type SampleReader = (address: SampleAddress, out: Uint8Array) => Promise<number>

export function sampleReader(
  source: Pick<ImageFolder, 'dir' | 'files'>,
  settings: SampleSettings,
  skipped: SkipLedger,
): SampleReader {
  const { seed, channels, minSide, maxPixels } = settings
  const target = { width: settings.width, height: settings.height }
  const place = ({ epoch, index }: SampleAddress, image: Size): Placement => ({
    box: crops[settings.crop](image, { ...settings, target }, draws({ seed, stream: 'crop', epoch, index })),
    flip: settings.flip && draws({ seed, stream: 'flip', epoch, index }).uniform() < 0.5,
  })
  return async ({ epoch, index }, out) => {
    const substitutes = draws({ seed, stream: 'substitute', epoch, index })
    let candidate = index
    for (;;) {
      const file = source.files[candidate]!
      const address = { epoch, index: candidate }
      const request = { target, channels, minSide, maxPixels, place: (image: Size) => place(address, image) }
      const reason = await tryDecodeImage(join(source.dir, file), request, out)
      if (reason === null) return candidate
      skipped.add({ file, reason })
      candidate = substitutes.below(source.files.length)
    }
  }
}
