/** Whole numbers as sines and cosines: which group of bands, which year, which month. */
import { SherdError } from '../errors.ts'

/** The encoding [width] of a number: all sines, then all cosines, of n · 10000^(−k / (width/2)). */
export function sineCosine(n: number, width: number): Float32Array {
  if (width < 2 || width % 2 !== 0)
    throw new SherdError('SHAPE', `The encoding of a number needs an even width, got ${width}`)
  const half = width / 2
  return Float32Array.from({ length: width }, (_, i) => {
    const angle = n * 10000 ** (-(i % half) / half)
    return i < half ? Math.sin(angle) : Math.cos(angle)
  })
}

const MS_PER_DAY = 86_400_000
const FIRST_YEAR = 2002 // of the imagery of the paper; years before it are negative numbers

/** Date fields encoded into tokens (Cong et al. 2022, section 3.1: year, month, hour), in UTC. */
export const timeFields = {
  year: (date: Date) => date.getUTCFullYear() - FIRST_YEAR,
  /** 0 to 11 */
  month: (date: Date) => date.getUTCMonth(),
  /** 0 to 365 */
  dayOfYear: (date: Date) =>
    Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / MS_PER_DAY),
  /** 0 to 23 */
  hour: (date: Date) => date.getUTCHours(),
} satisfies Record<string, (date: Date) => number>

export type TimeField = keyof typeof timeFields
export const timeFieldNames = Object.keys(timeFields) as TimeField[]

/** The encodings of a time's fields, one behind the other, each `width` numbers. Zeros for a time that is not known. */
export function timeEncoding(
  milliseconds: number,
  fields: readonly TimeField[],
  width: number,
): Float32Array {
  const all = new Float32Array(fields.length * width)
  if (Number.isNaN(milliseconds)) return all
  const date = new Date(milliseconds)
  for (const [i, field] of fields.entries()) all.set(sineCosine(timeFields[field](date), width), i * width)
  return all
}
