/** Where a sample lies in its image. */
import type { Box, Size } from '../../source/box.ts'

export interface Placement {
  readonly box: Box
  /** Mirrored left to right. */
  readonly flip: boolean
  /** What the box is resized to, and which part of that is the sample; by default all of it, at the sample's size. */
  readonly cut?: Cut | undefined
}

/** A sample in a resized box. Where it reaches beyond the box it has the colour of `PixelRules.fill`. */
export interface Cut {
  readonly size: Size
  /** Of the sample's corner in the resized box; negative outside. */
  readonly left: number
  readonly top: number
}
