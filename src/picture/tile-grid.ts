/** A picture of labelled columns of tiles: originals beside what was made of them. */

import { drawSvg, encodePng, svgDocument } from './render.ts'
import { textElement } from './text.ts'
import { paintTile } from './tile.ts'
import { type GridPicture, layoutGrid } from './tile-grid-layout.ts'

/**
 * Draws the picture as PNG. Tiles are enlarged by a whole factor, nearest neighbour, to sides of at least 112 pixels.
 * Throws `SHAPE` when a row does not have a tile for every column.
 */
export async function drawGrid(picture: GridPicture): Promise<Buffer> {
  const { width, height, texts, tiles, swatches } = await layoutGrid(picture)
  const squares = swatches.map(
    ({ x, y, side, colour }) =>
      `<rect x="${x}" y="${y}" width="${side}" height="${side}" fill="rgb(${colour.join()})" stroke="#9ca3af"/>`,
  )
  const canvas = await drawSvg(svgDocument(width, height, [...squares, ...texts.map(textElement)]))
  for (const tile of tiles) paintTile(canvas, tile)
  return encodePng(canvas)
}
