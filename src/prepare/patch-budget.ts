/** The size of an image that keeps its shape within a number of patches (SigLIP 2's NaFlex, Tschannen et al. 2025, section 2.4). */
import type { Size } from '../source/box.ts'

export interface PatchBudget {
  readonly patch: readonly [height: number, width: number]
  /** Patches of an image. */
  readonly most: number
}

/** Where the search for the scale ends. */
const CLOSE = 1e-5

/** Sides that are multiples of the patch, of at most `most` patches, found by halving as the released processor does. */
export function sizeWithin(image: Size, { patch: [rows, columns], most }: PatchBudget): Size {
  const side = (pixels: number, patch: number, scale: number) =>
    Math.max(patch, Math.ceil((pixels * scale) / patch) * patch)
  const at = (scale: number): Size => ({
    height: side(image.height, rows, scale),
    width: side(image.width, columns, scale),
  })
  let [fits, exceeds] = [CLOSE / 10, 100]
  while (exceeds - fits >= CLOSE) {
    const scale = (fits + exceeds) / 2
    const { height, width } = at(scale)
    if ((height / rows) * (width / columns) <= most) fits = scale
    else exceeds = scale
  }
  return at(fits)
}

/** Pixels of the largest image within it, whatever its shape. */
export const mostPixels = ({ patch, most }: PatchBudget): number => patch[0] * patch[1] * most
