/** Masks of class indices as coloured tiles. */
import type { Size } from '../source/box.ts'
import type { Tile } from './tile.ts'
import type { Colour } from './tile-grid-layout.ts'

const unlabelled: Colour = [255, 255, 255]

/**
 * The colour of a class in PASCAL VOC's palette (Everingham et al. 2015): bits 0, 3, 6 … of the index become the high bits of red, the
 * next ones those of green and blue. 0 is black.
 */
export function classColour(label: number): Colour {
  const colour: [number, number, number] = [0, 0, 0]
  for (let bit = 0; bit < 24; bit++)
    if ((label >> bit) & 1) colour[(bit % 3) as 0 | 1 | 2] |= 128 >> Math.floor(bit / 3)
  return colour
}

/** A mask [height, width] as a tile; values from `classes` on are unlabelled. */
export function classTile(mask: Uint16Array, { width, height }: Size, classes: number): Tile {
  const pixels = new Uint8Array(width * height * 3)
  for (let i = 0; i < width * height; i++) {
    const label = mask[i]!
    pixels.set(label < classes ? classColour(label) : unlabelled, 3 * i)
  }
  return { width, height, channels: 3, pixels }
}
