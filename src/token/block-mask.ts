/**
 * Blocks of hidden patches as BEiT draws them (Bao et al. 2022, section 2.3, algorithm 1; the numbers are those of its code): rectangles of
 * random area and aspect ratio until enough is hidden. Often the last one does not fit, and some patches are missing from the count.
 */
import type { Draws } from '../random/draws.ts'
import type { Grid } from './grid.ts'

const TRIES = 10 // for each block
const FLATTEST = Math.log(0.3) // aspect ratios from 0.3 to 1 / 0.3, uniform in their logarithm

/** Rows and columns of a block. In a grid of one or two rows, where few rectangles fit, it is a piece of their whole height. */
function sides({ h, w }: Grid, area: number, aspect: number): readonly [rows: number, columns: number] {
  if (Math.min(h, w) > 2) return [Math.round(Math.sqrt(area * aspect)), Math.round(Math.sqrt(area / aspect))]
  const along = Math.max(1, Math.round(area / Math.min(h, w)))
  return h <= w ? [h, along] : [along, w]
}

/** Hides a block of new patches, `most` at most; how many, 0 if none was found. */
function addBlock(hidden: Uint8Array, grid: Grid, least: number, most: number, draw: Draws): number {
  const isThin = Math.min(grid.h, grid.w) <= 2
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const area = least + draw.uniform() * (most - least) // also where most < least, as published
    const aspect = Math.exp(FLATTEST * (1 - 2 * draw.uniform()))
    const [rows, columns] = sides(grid, area, aspect)
    const fits = isThin ? rows * columns < grid.h * grid.w : rows < grid.h && columns < grid.w
    if (!fits) continue
    const top = draw.below(grid.h - rows + 1)
    const left = draw.below(grid.w - columns + 1)
    let added = rows * columns
    for (let y = top; y < top + rows; y++)
      for (let x = left; x < left + columns; x++) added -= hidden[y * grid.w + x]!
    if (added < 1 || added > most) continue
    for (let y = top; y < top + rows; y++) hidden.fill(1, y * grid.w + left, y * grid.w + left + columns)
    return added
  }
  return 0
}

/** [L] 1 in a block: `count` patches or fewer. `least`: area of the smallest block. */
export function blocks(grid: Grid, count: number, least: number, draw: Draws): Uint8Array {
  const hidden = new Uint8Array(grid.h * grid.w)
  for (let missing = count; missing > 0; ) {
    const added = addBlock(hidden, grid, least, missing, draw)
    if (added === 0) break
    missing -= added
  }
  return hidden
}
