/** Pictures of what an encoder sees: heat maps and colours over the images, patch by patch, as they are: nothing is smoothed. */
import { drawContactSheet, SHEET_SIDE } from '../picture/contact-sheet.ts'
import { heatColour, painted, scaled } from '../picture/painted.ts'
import type { Tile } from '../picture/tile.ts'
import { drawGrid } from '../picture/tile-grid.ts'
import type { Colour } from '../picture/tile-grid-layout.ts'
import type { Grid } from '../token/grid.ts'
import { type HeadMap, meanMap } from './head-maps.ts'
import type { Look, SeenImage } from './look.ts'

/** Longer side of the tiles of features and similarities, in pixels: that of large grids, so that a patch can be seen. */
const [SIDE, LARGEST] = [224, 512]
/** Of a patch in a large grid, where it fits. */
const LEAST = 4
const sideFor = ({ h, w }: Grid) => Math.max(SIDE, Math.min(LARGEST, LEAST * Math.max(h, w)))

/** Width and height of a tile for a grid: whole pixels for each patch, where they fit. */
function sizeFor({ h, w }: Grid, side: number): readonly [width: number, height: number] {
  const longer = Math.max(h, w)
  const scale = longer <= side ? Math.floor(side / longer) : side / longer
  return [Math.max(1, Math.round(w * scale)), Math.max(1, Math.round(h * scale))]
}

/** A frame inside the edge of a patch, or around one of a few pixels. */
function framed(tile: Tile, { h, w }: Grid, place: number, colour: Colour): Tile {
  const pixels = tile.pixels.slice()
  const { width, height } = tile
  const [row, column] = [Math.floor(place / w), place % w]
  const around = width / w < 6 ? 2 : 0
  const edges = (at: number, count: number, all: number) => [
    Math.max(0, Math.ceil((at * all) / count) - around),
    Math.min(all, Math.ceil(((at + 1) * all) / count) + around),
  ]
  const [left, right] = edges(column, w, width) as [number, number]
  const [top, bottom] = edges(row, h, height) as [number, number]
  const thick = right - left >= 10 ? 2 : 1
  for (let y = top; y < bottom; y++)
    for (let x = left; x < right; x++)
      if (Math.min(x - left, right - 1 - x, y - top, bottom - 1 - y) < thick)
        pixels.set(colour, 3 * (y * width + x))
  return { ...tile, pixels }
}

const THROUGH = 0.3

const heat = (tile: Tile, grid: Grid, values: ArrayLike<number>): Tile => {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (let i = 0; i < values.length; i++)
    [low, high] = [Math.min(low, values[i]!), Math.max(high, values[i]!)]
  const share = (value: number) => (high > low ? (value - low) / (high - low) : 0)
  return painted(tile, grid, (place) => heatColour(share(values[place]!)), THROUGH)
}

const percent = (share: number) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`

/** Whose attention is shown, in words. */
export const attendingText = ({ attention: { of, block } }: Pick<Look, 'attention'>): string =>
  ({
    cls: `attention of cls in block ${block}`,
    pooling: 'attention of the query of attention pooling',
    patches: `attention in block ${block}, mean over the patches (there is no cls)`,
  })[of]

/** The mean over the heads, and each head. */
export async function drawAttention(look: Look, image: SeenImage, tile: Tile): Promise<Buffer> {
  const { grid, prefix } = look
  const small = scaled(tile, ...sizeFor(grid, SHEET_SIDE))
  const heads = image.attention
  const cell = (name: string, head: HeadMap) => ({
    ...{ tile: heat(small, grid, head.patches), name },
    ...(prefix > 0 && { note: `${percent(1 - head.prefix)} on patches` }),
  })
  return drawContactSheet({
    title: `Attention: ${image.file}`,
    subtitle: `${attendingText(look)}, ${grid.h} × ${grid.w} patches`,
    footer: `Each map from its least (dark) to its greatest share (pale).${prefix > 0 ? ' What falls on cls and registers is left out of the maps.' : ''}`,
    columns: 6,
    rows: [
      {
        lead: { tile: small, name: 'image' },
        cells: [cell('mean of heads', meanMap(heads)), ...heads.map((head, i) => cell(`head ${i}`, head))],
      },
    ],
  })
}

const captionsOf = ({ images }: Look) => images.map(({ file }) => file)

/** Image and features side by side. */
export function drawFeatures(look: Look, tiles: readonly Tile[]): Promise<Buffer> {
  const { grid, images, explained } = look
  const all = explained.reduce((sum, share) => sum + share, 0)
  return drawGrid({
    title: 'Patch features as colours',
    columns: [{ title: 'image' }, { title: 'features', subtitle: `${grid.h} × ${grid.w} patches` }],
    rows: images.map(({ colours }, i) => {
      const tile = scaled(tiles[i]!, ...sizeFor(grid, sideFor(grid)))
      return [tile, painted(tile, grid, (place) => [...colours.subarray(3 * place, 3 * place + 3)])]
    }),
    captions: captionsOf(look),
    footer: `Red, green, blue: the first three principal components of all images together, which explain ${percent(all)} of the variance (${explained.map(percent).join(', ')}).`,
  })
}

const CHOSEN: Colour = [255, 255, 255]
const NEAR: Colour = [0, 230, 118]

/** Each image with the patches nearest to the chosen one, beside its similarities. */
export function drawNearest(look: Look, tiles: readonly Tile[]): Promise<Buffer> {
  const { grid, images, chosen } = look
  const [row, column] = [Math.floor(chosen / grid.w), chosen % grid.w]
  // One scale for all images, so that their colours compare.
  const least = Math.min(...images.map(({ similarity }) => similarity.reduce((a, b) => Math.min(a, b))))
  const share = (value: number) => (least < 1 ? (value - least) / (1 - least) : 1)
  return drawGrid({
    title: 'Patches like the chosen one',
    columns: [
      { title: 'image', subtitle: 'the nearest, in green' },
      { title: 'similarity', subtitle: 'cosine' },
    ],
    rows: images.map(({ similarity, nearest }, i) => {
      const tile = scaled(tiles[i]!, ...sizeFor(grid, sideFor(grid)))
      const near = nearest.reduce((made, { place }) => framed(made, grid, place, NEAR), tile)
      const map = painted(tile, grid, (place) => heatColour(share(similarity[place]!)), THROUGH)
      return i === 0 ? [near, map].map((each) => framed(each, grid, chosen, CHOSEN)) : [near, map]
    }),
    captions: captionsOf(look),
    legend: [0, 0.25, 0.5, 0.75, 1].map((at) => ({
      name: (least + at * (1 - least)).toFixed(2),
      colour: heatColour(at) as Colour,
    })),
    footer: `The chosen patch (white): row ${row}, column ${column} of ${images[0]!.file}, counted from 0.`,
  })
}
