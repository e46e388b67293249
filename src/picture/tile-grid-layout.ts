/**
 * Layout of a grid of tiles. Headings wrap to their column, and a column is at least as wide as the longest word over it, so that
 * nothing is cut off or overlaps.
 */
import { SherdError } from '../errors.ts'
import { measure, type PlacedText, type TextStyle, widestWord, wrapText } from './text.ts'
import type { Tile } from './tile.ts'

export interface Column {
  readonly title: string
  /** Under the title. */
  readonly subtitle?: string
  /** Under the last tile. */
  readonly note?: string
}

export interface GridPicture {
  readonly columns: readonly Column[]
  /** A tile for each column. */
  readonly rows: readonly (readonly Tile[])[]
  readonly title?: string
  readonly footer?: string
  /** Above each row; null: none. */
  readonly captions?: readonly (string | null)[]
  /** Under the tiles. */
  readonly legend?: readonly { readonly name: string; readonly colour: Colour }[]
}

/** Red, green, blue; 0 to 255. */
export type Colour = readonly [number, number, number]

export interface Swatch {
  readonly x: number
  readonly y: number
  readonly side: number
  readonly colour: Colour
}

export interface PlacedTile {
  readonly tile: Tile
  readonly x: number
  readonly y: number
  /** Magnification. */
  readonly factor: number
}

export interface GridLayout {
  readonly width: number
  readonly height: number
  /** With their measured widths. */
  readonly texts: readonly (PlacedText & { readonly width: number })[]
  readonly tiles: readonly PlacedTile[]
  readonly swatches: readonly Swatch[]
}

export interface Face extends TextStyle {
  readonly fill: string
  readonly lineHeight: number
}
export const faces = {
  title: { size: 17, bold: true, fill: '#111827', lineHeight: 23 },
  heading: { size: 13, bold: true, fill: '#111827', lineHeight: 17 },
  subtitle: { size: 11, fill: '#4b5563', lineHeight: 15 },
  footer: { size: 11, fill: '#6b7280', lineHeight: 16 },
} satisfies Record<string, Face>

const MARGIN = 20
const GAP = 8
const COLUMN_GAP = 12
const LEAST_SIDE = 112
const LEAST_WIDTH = 320
const SWATCH = 11

/** Throws `SHAPE` if a row lacks a tile for a column, or there is not one caption per row. */
export async function layoutGrid({
  columns,
  rows,
  title,
  footer,
  captions,
  legend = [],
}: GridPicture): Promise<GridLayout> {
  const odd = rows.findIndex((row) => row.length !== columns.length)
  if (odd >= 0 || columns.length === 0) {
    throw new SherdError(
      'SHAPE',
      `drawGrid: expected at least one column and a tile for each; row ${odd} has ${rows[odd]?.length ?? 0} tiles for ${columns.length} columns`,
    )
  }
  if (captions && captions.length !== rows.length)
    throw new SherdError(
      'SHAPE',
      `drawGrid: expected a caption or null for each of ${rows.length} rows, got ${captions.length}`,
    )
  const texts: (PlacedText & { width: number })[] = []
  const put = async (lines: readonly string[], { lineHeight, ...face }: Face, x: number, top: number) => {
    for (const [i, text] of lines.entries()) {
      const y = top + i * lineHeight + Math.round(0.8 * lineHeight)
      texts.push({ text, x, y, ...face, width: await measure(text, face) })
    }
    return top + lines.length * lineHeight
  }

  const factor = enlargement(rows)
  const widths = await Promise.all(columns.map((column, c) => columnWidth(column, rows, c, factor)))
  const lefts = widths.map(
    (_, c) => MARGIN + widths.slice(0, c).reduce((sum, width) => sum + width + COLUMN_GAP, 0),
  )
  const words = await Promise.all([
    widestWord(title ?? '', faces.title),
    widestWord(footer ?? '', faces.footer),
    ...(captions ?? []).map((caption) => widestWord(caption ?? '', faces.subtitle)),
    ...legend.map(async ({ name }) => SWATCH + 6 + (await measure(name, faces.subtitle))),
  ])
  const content = Math.max(LEAST_WIDTH, lefts.at(-1)! + widths.at(-1)! - MARGIN, ...words)

  let y = MARGIN - 4
  if (title) y = (await put(await wrapText(title, faces.title, content), faces.title, MARGIN, y)) + 10
  const headingEnds: number[] = []
  for (const [c, { title: heading, subtitle }] of columns.entries()) {
    const head = await wrapText(heading, faces.heading, widths[c]!)
    const under = subtitle ? await wrapText(subtitle, faces.subtitle, widths[c]!) : []
    headingEnds.push(
      await put(under, faces.subtitle, lefts[c]!, await put(head, faces.heading, lefts[c]!, y)),
    )
  }
  y = Math.max(...headingEnds) + 7

  const tiles: PlacedTile[] = []
  for (const [r, row] of rows.entries()) {
    const caption = captions?.[r]
    if (caption) {
      const lines = await wrapText(caption, faces.subtitle, content)
      y = (await put(lines, faces.subtitle, MARGIN, y + (r > 0 ? GAP : 0))) + 3
    }
    for (const [c, tile] of row.entries()) tiles.push({ tile, x: lefts[c]!, y, factor })
    y += Math.max(...row.map(({ height }) => height * factor)) + GAP
  }

  const noteEnds = [y - GAP]
  for (const [c, { note }] of columns.entries()) {
    if (note)
      noteEnds.push(await put(await wrapText(note, faces.subtitle, widths[c]!), faces.subtitle, lefts[c]!, y))
  }
  y = Math.max(...noteEnds)
  const swatches: Swatch[] = []
  let x = MARGIN
  if (legend.length > 0) y += 12
  for (const { name, colour } of legend) {
    const width = SWATCH + 6 + (await measure(name, faces.subtitle))
    if (x > MARGIN && x + width > MARGIN + content) {
      x = MARGIN
      y += faces.subtitle.lineHeight + 3
    }
    swatches.push({ x, y: y + 2, side: SWATCH, colour })
    await put([name], faces.subtitle, x + SWATCH + 6, y)
    x += width + 16
  }
  if (legend.length > 0) y += faces.subtitle.lineHeight
  if (footer) y = await put(await wrapText(footer, faces.footer, content), faces.footer, MARGIN, y + 12)
  return { width: content + 2 * MARGIN, height: y + MARGIN, texts, tiles, swatches }
}

/** One integer factor for all tiles, so that they keep their relative sizes. */
function enlargement(rows: GridPicture['rows']): number {
  const sides = rows.flat().flatMap(({ width, height }) => [width, height])
  return sides.length === 0 ? 1 : Math.max(1, Math.ceil(LEAST_SIDE / Math.min(...sides)))
}

async function columnWidth(
  { title, subtitle, note }: Column,
  rows: GridPicture['rows'],
  c: number,
  factor: number,
): Promise<number> {
  const words = await Promise.all([
    widestWord(title, faces.heading),
    widestWord(subtitle ?? '', faces.subtitle),
    widestWord(note ?? '', faces.subtitle),
  ])
  return Math.max(LEAST_SIDE, ...words, ...rows.map((row) => row[c]!.width * factor))
}
