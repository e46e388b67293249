/** Draws labelled columns of tiles, such as originals beside reconstructions. */

import { drawSvg, encodePng, svgDocument } from './render.ts'
import { textElement } from './text.ts'
import { paintTile } from './tile.ts'
import { type GridPicture, layoutGrid } from './tile-grid-layout.ts'

/**
 * Returns a PNG. Tiles are enlarged by an integer factor (nearest neighbour) to sides of at least 112 pixels. Throws `SHAPE` if a row
 * lacks a tile for a column.
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
