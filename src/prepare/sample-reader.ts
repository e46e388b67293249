/**
 * (epoch, index) → the pixels of that sample, or of its substitute when the file cannot be decoded. Batches therefore
 * stay full, and what a sample is depends on its address and on the files alone: not on batch size, threads, timing or on
 * where a run was resumed. That is why a bad file is tried again each time its turn comes: a truncated image fails
 * in some crops only, and a memory of earlier failures would make the data depend on the past.
 */
import { type Draws, draws } from '../random/draws.ts'
import { type CropKind, crops } from './crop.ts'
import type { Corruption } from './decode/damage.ts'
import type { DepthRange } from './decode/raw-pixels.ts'
import type { Placement } from './decode/resample-pixels.ts'
import type { ImageReader, PlacedSize } from './image-reader.ts'
import type { SampleAddress } from './loader/sample-order.ts'
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
  /** What becomes of damaged images; `skip` is the default. */
  readonly corrupt?: Corruption | undefined
  /** Seconds that reading a file may take, and decoding it; 30. */
  readonly fileTimeout?: number | undefined
  /** What of the values of 16-bit images becomes 0 and 255; null, the default: the high byte is taken. */
  readonly range?: DepthRange | null
  /** T of rasters; null, the default, for images. */
  readonly frames?: number | null
  /** Rasters with data in a smaller share of their pixels are left for another one; default 0. */
  readonly minValid?: number
}

/** The bytes of one prepared sample: uint8 [height, width, channels], or float32 [frames, channels, height, width]. */
export const sampleBytes = ({
  height,
  width,
  channels,
  frames = null,
}: Pick<SampleSettings, 'height' | 'width' | 'channels' | 'frames'>): number =>
  height * width * channels * (frames === null ? 1 : 4 * frames)

/** Numbers that are told of one raster beside its pixels: the size of a pixel, and a time for each frame. */
export const factsOf = ({ frames = null }: Pick<SampleSettings, 'frames'>): number =>
  frames === null ? 0 : 1 + frames

/**
 * Reads samples into `out` [samples, …], and what is told of rasters into `facts`. Returns the indices that were used: the given
 * ones or their substitutes'.
 */
export type SampleReader = (
  addresses: readonly SampleAddress[],
  out: Uint8Array,
  facts?: Float64Array,
) => Promise<number[]>

/** By how much a window is moved along one side, at most half of itself. */
function shift(random: Draws, size: number, before: number, after: number): number {
  const low = Math.min(before, size >> 1)
  return random.below(low + Math.min(after, size >> 1) + 1) - low
}

export function sampleReader(
  { reader, files }: { reader: ImageReader; files: readonly string[] },
  settings: SampleSettings,
  skipped: SkipLedger,
): SampleReader {
  const { seed, channels, minSide, maxPixels, range = null, frames = null, minValid = 0 } = settings
  const target = { width: settings.width, height: settings.height }
  const isRandom = settings.crop === 'random'
  const place = ({ epoch, index }: SampleAddress, image: PlacedSize): Placement => {
    const box = crops[settings.crop](
      image,
      { ...settings, target },
      draws({ seed, stream: 'crop', epoch, index }),
    )
    const flip = settings.flip && draws({ seed, stream: 'flip', epoch, index }).uniform() < 0.5
    if (!isRandom || !image.margin) return { box, flip }
    const { left, top, right, bottom } = image.margin
    const random = draws({ seed, stream: 'window', epoch, index })
    const x = shift(random, image.width, left, right)
    const y = shift(random, image.height, top, bottom)
    return { box: { ...box, left: box.left + x, top: box.top + y }, flip }
  }
  /** Some dates of a series, in their order. */
  const chooseFrames = ({ epoch, index }: SampleAddress, available: number): readonly number[] =>
    [...draws({ seed, stream: 'frames', epoch, index }).permutation(available)]
      .slice(0, frames ?? 1)
      .sort((a, b) => a - b)
  return async (addresses, out, facts) => {
    const used = addresses.map(({ index }) => index)
    const substitutes = new Map<number, Draws>()
    let rows = [...addresses.keys()]
    while (rows.length > 0) {
      const wanted = rows.map((row) => {
        const address = { epoch: addresses[row]!.epoch, index: used[row]! }
        return {
          ...{ row, index: used[row]!, place: (image: PlacedSize) => place(address, image) },
          ...(isRandom && { frames: (available: number) => chooseFrames(address, available) }),
        }
      })
      const reasons = await reader.read(wanted, {
        ...{ target, channels, minSide, maxPixels, range, out },
        ...{ corrupt: settings.corrupt, fileTimeout: settings.fileTimeout },
        ...(frames !== null && { frames, minValid }),
        ...(facts && { facts }),
      })
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
