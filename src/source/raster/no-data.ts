/**
 * No-data values of a file or the user, compared in the type of the raster with GDAL's tolerance (`ARE_REAL_EQUAL` of 3.x: |a − b| < 2 ε
 * |a + b| in the precision of the type), so that both mask the same pixels.
 */
import type { NoData, SampleType } from './sample-type.ts'

/** Matches no value. */
const nothing: NoData = { low: Number.POSITIVE_INFINITY, high: Number.NEGATIVE_INFINITY }

const FLOAT32 = { epsilon: 2 ** -23, most: 3.4028234663852886e38 }
const FLOAT64 = { epsilon: Number.EPSILON, most: Number.MAX_VALUE }

/** `value` in this type; non-finite values are always no data. */
export function noDataOf(value: number, { kind, bytes }: SampleType): NoData {
  if (!Number.isFinite(value)) return nothing
  if (kind !== 'float') {
    const least = kind === 'signed' ? -(2 ** (8 * bytes - 1)) : 0
    const isHeld = Number.isInteger(value) && value >= least && value < least + 2 ** (8 * bytes)
    return isHeld ? { low: value, high: value } : nothing
  }
  const { epsilon, most } = bytes === 8 ? FLOAT64 : FLOAT32
  const size = Math.min(most, Math.abs(bytes === 8 ? value : Math.fround(value)))
  // Near the largest float the sum overflows and GDAL finds everything equal, so that -3.4e38 matches -3.4028235e38.
  const overflows = size > most / 2
  const low = Math.min((size * (1 - 2 * epsilon)) / (1 + 2 * epsilon), overflows ? most - size : size)
  const high = overflows ? most : (size * (1 + 2 * epsilon)) / (1 - 2 * epsilon)
  return value < 0 ? { low: -high, high: -low } : { low, high }
}

/** Parses GDAL_NODATA; NaN for texts such as `nan` and `-1.#IND`. */
export const noDataNumber = (text: string): number =>
  text.includes('#') ? Number.NaN : Number.parseFloat(text)
