/** Measures mean and standard deviation of a data set, for normalisation. */
import { availableParallelism } from 'node:os'
import type { Size } from '../source/box.ts'
import type { ImageSource } from '../source/open.ts'
import { centerCrop } from './crop.ts'
import type { Corruption } from './decode/damage.ts'
import { configureDecoder, defaultMaxPixels } from './decode/decode.ts'
import type { DepthRange } from './decode/raw-pixels.ts'
import type { ChannelStatistics } from './normalize.ts'
import { openReader } from './open-reader.ts'
import { brokenData, type SkippedFile } from './skipped.ts'

export interface StatisticsOptions {
  /** Images are centre-cropped to this size. */
  readonly height: number
  readonly width: number
  /** 1 or 3. */
  readonly channels: number
  readonly minSide: number
  readonly maxPixels?: number
  readonly corrupt?: Corruption | undefined
  readonly fileTimeout?: number | undefined
  readonly range?: DepthRange | null
  /** Largest number of files to read, evenly spaced; default 5,000. */
  readonly maxSamples?: number
}

/** One grey level, so that constant channels do not divide by 0. */
const LEAST_STD = 1 / 255
/** Bounds the memory for sources that are read in large batches. */
const MOST_TOGETHER = 32

/**
 * The statistics of `source`, with `std` at least one grey level, and the number of images. Integer sums do not depend on the
 * order, so the result is bitwise reproducible. Unreadable files are skipped; throws `DATA_BROKEN` if none is readable.
 */
export async function measureStatistics(
  source: ImageSource,
  options: StatisticsOptions,
): Promise<ChannelStatistics & { readonly samples: number }> {
  const { channels, minSide, maxPixels = defaultMaxPixels, range = null, maxSamples = 5000 } = options
  const { corrupt, fileTimeout } = options
  const target = { width: options.width, height: options.height }
  const place = (image: Size) => ({ box: centerCrop(image, target), flip: false })
  const read = Math.min(maxSamples, source.files.length)
  const sums = channelSums(channels)
  const skipped: SkippedFile[] = []
  let started = 0
  configureDecoder()
  const reader = openReader(source, availableParallelism())
  const together = Math.min(reader.together, MOST_TOGETHER)
  const readInTurn = async () => {
    const bytes = target.width * target.height * channels
    const out = new Uint8Array(together * bytes)
    while (started < read) {
      const first = started
      started = Math.min(read, started + together)
      const wanted = Array.from({ length: started - first }, (_, row) => ({
        row,
        index: Math.floor(((first + row) * source.files.length) / read),
        place,
      }))
      const reasons = await reader.read(wanted, {
        ...{ target, channels, minSide, maxPixels, range, corrupt, fileTimeout, out },
      })
      for (const [row, reason] of reasons.entries()) {
        if (reason === null) sums.add(out.subarray(row * bytes, (row + 1) * bytes))
        else skipped.push({ file: source.files[wanted[row]!.index]!, reason })
      }
    }
  }
  await Promise.all(Array.from({ length: reader.atOnce }, readInTurn)).finally(reader.close)
  const samples = read - skipped.length
  if (samples === 0) throw brokenData(skipped, { files: read, maxShare: 0 })
  return { ...sums.moments(samples * target.width * target.height), samples }
}

/** Sums of bytes and of their squares: whole numbers below 2^53 for more pixels than any run reads here. */
function channelSums(channels: number): {
  add(pixels: Uint8Array): void
  moments(pixels: number): ChannelStatistics
} {
  const sum = new Float64Array(channels)
  const squares = new Float64Array(channels)
  return {
    add(pixels) {
      for (let c = 0; c < channels; c++) {
        let s = 0
        let q = 0
        for (let i = c; i < pixels.length; i += channels) {
          const value = pixels[i]!
          s += value
          q += value * value
        }
        sum[c]! += s
        squares[c]! += q
      }
    },
    moments(pixels) {
      const mean = Array.from(sum, (s) => s / pixels)
      const variance = Array.from(squares, (q, c) => Math.max(0, q / pixels - mean[c]! ** 2))
      return {
        mean: mean.map((m) => m / 255),
        std: variance.map((v) => Math.max(LEAST_STD, Math.sqrt(v) / 255)),
      }
    },
  }
}
