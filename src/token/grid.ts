/** The token grid of an image: rows and columns of patches. Nothing in sherd takes √N or assumes a square. */
import { SherdError } from '../errors.ts'

/** Rows and columns of patches. */
export interface Grid {
  readonly h: number
  readonly w: number
}

/** The grid of an image of `[H, W]` pixels under patches of side P. Both sides must be divisible by P. */
export function gridOf([height, width]: readonly [number, number], patchSize: number): Grid {
  const fits = (side: number) => Number.isInteger(side) && side >= patchSize && side % patchSize === 0
  if (!(Number.isInteger(patchSize) && patchSize >= 1 && fits(height) && fits(width))) {
    throw new SherdError(
      'SHAPE',
      `An image of ${height} × ${width} pixels cannot be cut into patches of side ${patchSize}: both sides must be multiples of it`,
    )
  }
  return { h: height / patchSize, w: width / patchSize }
}

/** N, the number of patches. */
export const tokenCount = ({ h, w }: Grid) => h * w
