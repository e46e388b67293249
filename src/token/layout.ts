/**
 * The tokens of a sample: every location of the grid has one for each frame and each group of bands. A plain image is one frame of
 * one group. Token (g · T + t) · L + l is that of group g in frame t at location l.
 */
import { type Grid, tokenCount } from './grid.ts'

export interface TokenLayout {
  readonly grid: Grid
  /** T, dates or pictures of one sample. */
  readonly frames: number
  /** G */
  readonly groups: number
}

/** T · L, the tokens of one group. */
export const placeCount = ({ grid, frames }: TokenLayout): number => frames * tokenCount(grid)

/** N = G · T · L */
export const layoutTokens = (layout: TokenLayout): number => layout.groups * placeCount(layout)

/** For messages. */
export function layoutInWords({ grid, frames, groups }: TokenLayout): string {
  const of = [
    ...(frames > 1 ? [`of ${frames} dates`] : []),
    ...(groups > 1 ? [`in ${groups} groups of bands`] : []),
  ]
  return [`${grid.h} × ${grid.w} patches`, ...of].join(' ')
}
