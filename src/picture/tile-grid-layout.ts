/**
 * Layout of a grid of tiles. Rows stand in as many panels side by side as make the picture fit a screen. Headings wrap to their column, and a column is at least as wide as the longest word over it, so that
 * nothing is cut off or overlaps.
 */
import { SherdError } from '../errors.ts'
import { measure, type PlacedText, shortened, type TextStyle, widestWord, wrapText } from './text.ts'
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
  /** Above each row; null: none. The rows below a caption stay together. */
  readonly captions?: readonly (string | null)[]
  /** To the left of each row; null: none. */
  readonly labels?: readonly (string | null)[]
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
  /** Magnification: whole, or 1 over a whole number that divides the sides. */
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
  caption: { size: 11, bold: true, fill: '#374151', lineHeight: 15 },
  footer: { size: 11, fill: '#6b7280', lineHeight: 16 },
} satisfies Record<string, Face>

const MARGIN = 20
const GAP = 8
const COLUMN_GAP = 12
const PANEL_GAP = 28
const LEAST_SIDE = 112
const DENSE_SIDE = 72 // in pictures that would not fit a screen
const LEAST_LABEL = 56
const MOST_PANELS = 16
const MOST_SIDE = 2000
/** Width to height. */
export const SCREEN = 16 / 10
const LEAST_WIDTH = 320
const SWATCH = 11

/** Throws `SHAPE` if a row lacks a tile for a column, or there is not one caption or label per row. */
export async function layoutGrid(picture: GridPicture): Promise<GridLayout> {
  expectWhole(picture)
  const blocks = blocksOf(picture)
  const counts = Array.from({ length: Math.min(MOST_PANELS, Math.max(1, blocks.length)) }, (_, i) => i + 1)
  let best: GridLayout | null = null
  for (const factor of enlargements(picture.rows)) {
    const made = await Promise.all(counts.map((panels) => place(picture, { factor, panels, blocks })))
    const fitting = made.filter(({ width, height }) => Math.max(width, height) <= MOST_SIDE)
    best = (fitting.length > 0 ? fitting : made).reduce((a, b) => (distance(b) < distance(a) ? b : a))
    if (fitting.length > 0) break
  }
  return best!
}

/** How far from the shape of a screen. */
const distance = ({ width, height }: GridLayout) => Math.abs(Math.log(width / height / SCREEN))

function expectWhole({ columns, rows, captions, labels }: GridPicture): void {
  const odd = rows.findIndex((row) => row.length !== columns.length)
  if (odd >= 0 || columns.length === 0) {
    throw new SherdError(
      'SHAPE',
      `drawGrid: expected at least one column and a tile for each; row ${odd} has ${rows[odd]?.length ?? 0} tiles for ${columns.length} columns`,
    )
  }
  for (const [what, given] of Object.entries({ caption: captions, label: labels }))
    if (given && given.length !== rows.length)
      throw new SherdError(
        'SHAPE',
        `drawGrid: expected a ${what} or null for each of ${rows.length} rows, got ${given.length}`,
      )
}

/** First row and end of what stays together: the rows below a caption; without captions, each row. */
function blocksOf({ rows, captions }: GridPicture): (readonly [number, number])[] {
  const firsts = [...rows.keys()].filter((r) => r === 0 || !captions?.some(Boolean) || captions[r])
  return firsts.map((first, i) => [first, firsts[i + 1] ?? rows.length])
}

interface Arrangement {
  readonly factor: number
  /** Side by side, each with the headings over it. */
  readonly panels: number
  readonly blocks: readonly (readonly [number, number])[]
}

async function place(
  { columns, rows, title, footer, captions, labels, legend = [] }: GridPicture,
  { factor, panels, blocks }: Arrangement,
): Promise<GridLayout> {
  const texts: (PlacedText & { width: number })[] = []
  const put = async (lines: readonly string[], { lineHeight, ...face }: Face, x: number, top: number) => {
    for (const [i, text] of lines.entries()) {
      const y = top + i * lineHeight + Math.round(0.8 * lineHeight)
      texts.push({ text, x, y, ...face, width: await measure(text, face) })
    }
    return top + lines.length * lineHeight
  }

  const widths = await Promise.all(columns.map((column, c) => columnWidth(column, rows, c, factor)))
  const labelWidths = (labels ?? []).map((label) => widestWord(label ?? '', faces.subtitle))
  const labelled = labels?.some(Boolean) ? Math.max(LEAST_LABEL, ...(await Promise.all(labelWidths))) : 0
  const start = labelled && labelled + GAP
  const panel = start + widths.reduce((sum, width) => sum + width + COLUMN_GAP, -COLUMN_GAP)
  const each = Math.ceil(blocks.length / panels)
  const parts = Array.from({ length: panels }, (_, p) => blocks.slice(p * each, (p + 1) * each)).filter(
    (part, p) => p === 0 || part.length > 0,
  )
  const leftOf = (p: number, c: number) =>
    MARGIN +
    p * (panel + PANEL_GAP) +
    start +
    widths.slice(0, c).reduce((sum, width) => sum + width + COLUMN_GAP, 0)
  const words = await Promise.all([
    widestWord(title ?? '', faces.title),
    widestWord(footer ?? '', faces.footer),
    ...legend.map(async ({ name }) => SWATCH + 6 + (await measure(name, faces.subtitle))),
  ])
  const content = Math.max(LEAST_WIDTH, parts.length * (panel + PANEL_GAP) - PANEL_GAP, ...words)
  const room = parts.length > 1 ? panel : content

  let y = MARGIN - 4
  if (title) y = (await put(await wrapText(title, faces.title, content), faces.title, MARGIN, y)) + 10
  const headingEnds: number[] = []
  for (const p of parts.keys())
    for (const [c, { title: heading, subtitle }] of columns.entries()) {
      const head = await wrapText(heading, faces.heading, widths[c]!)
      const under = subtitle ? await wrapText(subtitle, faces.subtitle, widths[c]!) : []
      const x = leftOf(p, c)
      headingEnds.push(await put(under, faces.subtitle, x, await put(head, faces.heading, x, y)))
    }
  const top = Math.max(...headingEnds) + 7

  const tiles: PlacedTile[] = []
  const bottoms: number[] = []
  for (const [p, part] of parts.entries()) {
    y = top
    for (const r of part.flatMap(([first, end]) =>
      Array.from({ length: end - first }, (_, i) => first + i),
    )) {
      const [caption, label] = [captions?.[r], labels?.[r]]
      if (caption) {
        const lines = await wrapText(caption, faces.caption, room)
        const whole = await Promise.all(lines.map((line) => shortened(line, faces.caption, room)))
        y = (await put(whole, faces.caption, leftOf(p, 0) - start, y + (y > top ? GAP : 0))) + 3
      }
      for (const [c, tile] of rows[r]!.entries()) tiles.push({ tile, x: leftOf(p, c), y, factor })
      const lines = label ? await wrapText(label, faces.subtitle, labelled) : []
      const end = await put(lines, faces.subtitle, leftOf(p, 0) - start, y)
      y = Math.max(end, y + Math.max(...rows[r]!.map(({ height }) => height * factor))) + GAP
    }
    bottoms.push(y - GAP)
  }

  // The first panel is the longest, and figures of all rows stand once.
  y = Math.max(...bottoms)
  const noteEnds = [y]
  for (const [c, { note }] of columns.entries()) {
    if (note)
      noteEnds.push(
        await put(await wrapText(note, faces.subtitle, widths[c]!), faces.subtitle, leftOf(0, c), y + GAP),
      )
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

/**
 * Factors for all tiles, so that they keep their relative sizes: first to sides of at least 112 pixels by a whole number, then smaller
 * ones (1/n: means of n × n pixels) that leave 72.
 */
function enlargements(rows: GridPicture['rows']): number[] {
  const sides = rows.flat().flatMap(({ width, height }) => [width, height])
  if (sides.length === 0) return [1]
  const least = Math.min(...sides)
  const usual = Math.max(1, Math.ceil(LEAST_SIDE / least))
  const whole = Array.from({ length: usual }, (_, i) => usual - i)
  const parts = [2, 3, 4, 5, 6, 7, 8].filter((n) => sides.every((side) => side % n === 0)).map((n) => 1 / n)
  return [usual, ...[...whole.slice(1), ...parts].filter((factor) => least * factor >= DENSE_SIDE)]
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
  return Math.max(DENSE_SIDE, ...words, ...rows.map((row) => row[c]!.width * factor))
}
