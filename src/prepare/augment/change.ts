/** What changes of bytes are given and give: images of three channels in whole levels. */
import type { Size } from '../../source/box.ts'

export interface Raster extends Size {
  /** [H, W, 3] */
  readonly pixels: Uint8Array
}

/** Gives new pixels of the same size, and leaves the given ones as they are. */
export type Change = (image: Raster) => Uint8Array
