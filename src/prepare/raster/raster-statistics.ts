/**
 * Statistics of the bands of rasters: mean, standard deviation, and bounds for clipping, over pixels with data. Samples are read
 * sequentially, so that the result is bitwise reproducible.
 */

import { availableParallelism } from 'node:os'
import { SherdError } from '../../errors.ts'
import type { Box, Size } from '../../source/box.ts'
import type { RasterFolder } from '../../source/raster/raster-folder.ts'
import { defaultMaxPixels } from '../decode/decode.ts'
import { quantile } from '../quantile.ts'
import { brokenData, type SkippedFile } from '../skipped.ts'
import type { Clipping } from './clipping.ts'
import { rasterReader } from './raster-reader.ts'

export interface BandStatistics {
  /** Of each band, in the files' units. */
  readonly mean: number[]
  /** 1 for constant bands. */
  readonly std: number[]
  /** Null: no clipping. */
  readonly low: number[] | null
  readonly high: number[] | null
  /** Number of samples read. */
  readonly samples: number
  /** Warnings about implausible data, a sentence or two each. */
  readonly notes: readonly string[]
}

/** Of larger scenes only a central square of this side is read. */
const MOST_SIDE = 512
/** Values per band for percentiles. */
const KEPT = 1e6
const DEVIATIONS = 2
const [LOW, HIGH] = [0.02, 0.98]

/**
 * Reads at most `maxSamples` (1,000) samples, spread evenly over the source. Throws `SOURCE` if none has data, `DATA_BROKEN` if none
 * can be read.
 */
export async function measureRasterStatistics(
  source: Pick<RasterFolder, 'dir' | 'files' | 'rasters'>,
  { maxSamples = 1000, clip }: { readonly maxSamples?: number; readonly clip: Clipping },
): Promise<BandStatistics> {
  const { bands, frames, samples: all } = source.rasters
  const count = Math.min(maxSamples, all.length)
  const moments = bands.map(runningMoments)
  const kept = bands.map((): Float32Array[] => [])
  const skipped: SkippedFile[] = []
  const reader = rasterReader(source, availableParallelism())
  try {
    for (let i = 0; i < count; i++) {
      const index = Math.floor((i * all.length) / count)
      const { window, width, height } = all[index]!
      const target = middleOf(window ?? { width, height })
      const pixels = target.width * target.height
      const out = new Uint8Array(frames * bands.length * pixels * 4)
      const place = (size: Size) => ({ box: boxInMiddle(size, target), flip: false })
      const [reason] = await reader.read([{ index, row: 0, place }], {
        ...{ target, channels: bands.length, frames, out },
        ...{ minSide: 1, maxPixels: defaultMaxPixels },
      })
      if (reason != null) {
        skipped.push({ file: source.files[index]!, reason })
        continue
      }
      const values = new Float32Array(out.buffer) // [T, C, H, W]
      for (const [c, moment] of moments.entries()) {
        const valid = validOf(values, { c, channels: bands.length, pixels })
        moment.add(valid)
        if (clip === 'percentiles') kept[c]!.push(spread(valid, Math.ceil(KEPT / count)))
      }
    }
  } finally {
    reader.close()
  }
  if (skipped.length === count) throw nothingMeasured(source.dir, skipped)
  const mean = moments.map(({ mean }) => mean())
  const deviation = moments.map(({ deviation }) => deviation())
  return {
    ...{ mean, std: deviation.map((each) => each || 1) },
    ...clipOf(clip, { mean, deviation, kept }),
    samples: count - skipped.length,
    notes: oddities(bands, mean, deviation),
  }
}

/** Larger than any physical value. */
const IMPOSSIBLE = 1e15

function oddities(bands: readonly string[], mean: readonly number[], deviation: readonly number[]): string[] {
  const odd = bands.findIndex((_, c) => !(Math.max(Math.abs(mean[c]!), deviation[c]!) < IMPOSSIBLE))
  return odd < 0
    ? []
    : [
        `${bands[odd]} has the mean ${mean[odd]!.toPrecision(3)} and the standard deviation ${deviation[odd]!.toPrecision(3)}, which no measurement has: a number that stands for no data probably counts as data. Say which with data.nodata.`,
      ]
}

const middleOf = ({ width, height }: Size): Size => ({
  width: Math.max(1, Math.min(width, MOST_SIDE)),
  height: Math.max(1, Math.min(height, MOST_SIDE)),
})

const boxInMiddle = (size: Size, { width, height }: Size): Box => ({
  left: Math.floor((size.width - width) / 2),
  top: Math.floor((size.height - height) / 2),
  ...{ width, height },
})

function validOf(
  values: Float32Array,
  { c, channels, pixels }: { c: number; channels: number; pixels: number },
): Float32Array {
  const valid = new Float32Array(values.length / channels)
  let count = 0
  for (let first = c * pixels; first < values.length; first += channels * pixels)
    for (let i = first; i < first + pixels; i++) if (!Number.isNaN(values[i]!)) valid[count++] = values[i]!
  return valid.subarray(0, count)
}

/** At most `most` values, evenly spaced. */
const spread = (values: Float32Array, most: number): Float32Array => {
  const count = Math.min(values.length, most)
  return Float32Array.from({ length: count }, (_, i) => values[Math.floor((i * values.length) / count)]!)
}

/** Merges mean and deviation of parts (Chan, Golub & LeVeque 1979), since sums of squares of large numbers would cancel. */
function runningMoments() {
  let [count, mean, squares] = [0, 0, 0]
  return {
    add(values: Float32Array): void {
      if (values.length === 0) return
      let sum = 0
      for (const value of values) sum += value
      const own = sum / values.length
      let ownSquares = 0
      for (const value of values) ownSquares += (value - own) ** 2
      const total = count + values.length
      squares += ownSquares + ((own - mean) ** 2 * count * values.length) / total
      mean += ((own - mean) * values.length) / total
      count = total
    },
    mean: () => mean,
    /** 0 if it is within rounding. */
    deviation: () => {
      const deviation = Math.sqrt(squares / count)
      return deviation > 1e-9 * Math.abs(mean) ? deviation : 0
    },
  }
}

function clipOf(
  clip: Clipping,
  { mean, deviation, kept }: { mean: number[]; deviation: number[]; kept: Float32Array[][] },
): Pick<BandStatistics, 'low' | 'high'> {
  switch (clip) {
    case 'none':
      return { low: null, high: null }
    case 'deviations':
      return {
        low: mean.map((m, c) => m - DEVIATIONS * deviation[c]!),
        high: mean.map((m, c) => m + DEVIATIONS * deviation[c]!),
      }
    case 'percentiles': {
      const sorted = kept.map((parts) => joined(parts).sort())
      return {
        low: sorted.map((values) => quantile(values, LOW)),
        high: sorted.map((values) => quantile(values, HIGH)),
      }
    }
    default:
      return clip satisfies never
  }
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

function nothingMeasured(dir: string, skipped: readonly SkippedFile[]): SherdError {
  const isEmpty = skipped.every(({ reason }) => reason.startsWith('no data: '))
  if (!isEmpty) return brokenData(skipped, { files: skipped.length, maxShare: 0 })
  const { file, reason } = skipped[0]!
  return new SherdError(
    'SOURCE',
    `None of ${skipped.length} samples of ${dir} holds a pixel with data in all bands. The first, ${file}: ${reason}. Leave out the band without data, or set nodata to what the files mean by it.`,
  )
}
