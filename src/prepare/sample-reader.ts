/**
 * (epoch, index) → the pixels of that sample, or of its substitute when the file cannot be decoded. Batches therefore
 * stay full, and what a sample is depends on its address and on the files alone: not on batch size, threads, timing or on
 * where a run was resumed. That is why a bad file is tried again each time its turn comes: a truncated image fails
 * in some crops only, and a memory of earlier failures would make the data depend on the past.
 */
import { type Draws, draws } from '../random/draws.ts'
import { type CropKind, crops, type Size } from './crop.ts'
import type { ImageReader } from './image-reader.ts'
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

/**
 * Reads samples into `out` [samples, height, width, channels] and returns the indices that were used: the given ones or
 * their substitutes'.
 */
export type SampleReader = (addresses: readonly SampleAddress[], out: Uint8Array) => Promise<number[]>

export function sampleReader(
  { reader, files }: { reader: ImageReader; files: readonly string[] },
  settings: SampleSettings,
  skipped: SkipLedger,
): SampleReader {
  const { seed, channels, minSide, maxPixels } = settings
  const target = { width: settings.width, height: settings.height }
  const place = ({ epoch, index }: SampleAddress, image: Size): Placement => ({
    box: crops[settings.crop](image, { ...settings, target }, draws({ seed, stream: 'crop', epoch, index })),
    flip: settings.flip && draws({ seed, stream: 'flip', epoch, index }).uniform() < 0.5,
  })
  return async (addresses, out) => {
    const used = addresses.map(({ index }) => index)
    const substitutes = new Map<number, Draws>()
    let rows = [...addresses.keys()]
    while (rows.length > 0) {
      const wanted = rows.map((row) => {
        const address = { epoch: addresses[row]!.epoch, index: used[row]! }
        return { row, index: used[row]!, place: (image: Size) => place(address, image) }
      })
      const reasons = await reader.read(wanted, { target, channels, minSide, maxPixels, out })
      rows = rows.filter((_, i) => reasons[i] !== null)
      for (const [i, reason] of reasons.entries()) {
        if (reason === null) continue
        const { row, index } = wanted[i]!
        skipped.add({ file: files[index]!, reason })
        const next = substitutes.get(row) ?? draws({ seed, stream: 'substitute', ...addresses[row]! })
        substitutes.set(row, next)
        used[row] = next.below(files.length)
      }
    }
    return used
  }
}
