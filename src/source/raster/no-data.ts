/**
 * Which values stand for no data: a number as a file's text or the user has it, compared in the type of the raster and with the
 * tolerance of GDAL (`ARE_REAL_EQUAL` of its 3.x: |a − b| < 2 ε |a + b| in the precision of the type), so that both see the same pixels.
 */
import type { NoData, SampleType } from './sample-type.ts'

/** What no value is. */
const nothing: NoData = { low: Number.POSITIVE_INFINITY, high: Number.NEGATIVE_INFINITY }

const FLOAT32 = { epsilon: 2 ** -23, most: 3.4028234663852886e38 }
const FLOAT64 = { epsilon: Number.EPSILON, most: Number.MAX_VALUE }

/** `value` in this type; values that are not finite are no data always. */
export function noDataOf(value: number, { kind, bytes }: SampleType): NoData {
  if (!Number.isFinite(value)) return nothing
  if (kind !== 'float') {
    const least = kind === 'signed' ? -(2 ** (8 * bytes - 1)) : 0
    const isHeld = Number.isInteger(value) && value >= least && value < least + 2 ** (8 * bytes)
    return isHeld ? { low: value, high: value } : nothing
  }
  const { epsilon, most } = bytes === 8 ? FLOAT64 : FLOAT32
  const size = Math.min(most, Math.abs(bytes === 8 ? value : Math.fround(value)))
  // Near the largest float the sum overflows, and GDAL finds everything equal: -3.4e38 stands for -3.4028235e38, too.
  const overflows = size > most / 2
  const low = Math.min((size * (1 - 2 * epsilon)) / (1 + 2 * epsilon), overflows ? most - size : size)
  const high = overflows ? most : (size * (1 + 2 * epsilon)) / (1 - 2 * epsilon)
  return value < 0 ? { low: -high, high: -low } : { low, high }
}

/** The number in GDAL's tag GDAL_NODATA; NaN for what names none, such as `nan` and `-1.#IND`. */
export const noDataNumber = (text: string): number =>
  text.includes('#') ? Number.NaN : Number.parseFloat(text)
