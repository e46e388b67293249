/** The token grid of an image: rows and columns of patches. Nothing in sherd takes √N or assumes a square. */
import { SherdError } from '../errors.ts'

/** Rows and columns of patches. */
export interface Grid {
  readonly h: number
  readonly w: number
}

/** Height and width of a patch in pixels. */
export type PatchSize = readonly [h: number, w: number]

export type PatchSides = number | PatchSize

export const sidesOf = (size: PatchSides): PatchSize => (typeof size === 'number' ? [size, size] : size)

/** A number for squares. */
export const shortSize = (size: PatchSize): number | [number, number] =>
  size[0] === size[1] ? size[0] : [...size]

/** Pixels of a patch. */
export const patchArea = ([h, w]: PatchSize): number => h * w

/** The grid of an image of `[H, W]` pixels under patches of [h, w]. Both sides must be divisible by the patch's. */
export function gridOf([height, width]: readonly [number, number], patchSize: PatchSides): Grid {
  const [h, w] = sidesOf(patchSize)
  const fits = (side: number, patch: number) =>
    Number.isInteger(side) && Number.isInteger(patch) && patch >= 1 && side >= patch && side % patch === 0
  if (!fits(height, h) || !fits(width, w))
    throw new SherdError(
      'SHAPE',
      `An image of ${height} × ${width} pixels cannot be cut into patches of ${h} × ${w}: its sides must be multiples of theirs`,
    )
  return { h: height / h, w: width / w }
}

/** N, the number of patches. */
export const tokenCount = ({ h, w }: Grid) => h * w
