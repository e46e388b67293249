/** Numbers and choices in words, for captions, for pictures and for those who hear them. */

import type { Size } from '../../src/source/box.ts'
import type { StatisticsUsed } from '../../src/target/patch-statistics.ts'
import type { Grid } from '../../src/token/grid.ts'

/** The same words as on the pictures of `sherd reconstruct`. */
export const statisticsWords: Readonly<Record<StatisticsUsed, string>> = {
  raw: 'statistics: none needed (raw pixels)',
  neighbours: 'statistics: from visible neighbours',
  true: 'statistics: true (leaks the answer)',
}

export const decibels = (psnr: number): string =>
  Number.isNaN(psnr) ? '–' : Number.isFinite(psnr) ? `${psnr.toFixed(1)} dB` : '∞ dB'

export const fixed = (value: number, digits: number): string =>
  Number.isFinite(value) ? value.toFixed(digits) : '–'

export const share = (value: number): string => `${Number((100 * value).toFixed(1))}\u00a0%`

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`

// No-break spaces keep a size together.
export const sizeWords = ({ width, height }: Size): string => `${width}\u00a0×\u00a0${height}\u00a0pixels`

export const placeOf = ({ w }: Grid, patch: number): string =>
  `row ${Math.floor(patch / w) + 1}, column ${(patch % w) + 1}`

/** The largest of a list that may hold NaN, and where it is; null of none. */
export function largest(values: ArrayLike<number>): { readonly at: number; readonly value: number } | null {
  let found: { at: number; value: number } | null = null
  for (let at = 0; at < values.length; at++) {
    const value = values[at]!
    if (!Number.isNaN(value) && (!found || value > found.value)) found = { at, value }
  }
  return found
}

/** What of an image a picture of the model's size shows. */
export function aboutSize(original: Size, { width, height }: Size): string {
  const made = sizeWords({ width, height })
  if (original.width === width && original.height === height) return made
  const whole = original.width * height === original.height * width
  return `${made}, ${whole ? 'made of' : 'the centre of'} ${sizeWords(original)}`
}
