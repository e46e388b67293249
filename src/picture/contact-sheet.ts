/** Contact sheets: rows of small images with their names. */
import { SherdError } from '../errors.ts'
import { drawSvg, encodePng, svgDocument } from './render.ts'
import { measure, shortened, textElement, wrapText } from './text.ts'
import { paintTile, type Tile } from './tile.ts'
import { type Face, faces, type PlacedTile, SCREEN } from './tile-grid-layout.ts'

/** Side of the square of each image, in pixels. */
export const SHEET_SIDE = 128
const MARGIN = 20
const GAP = 12
const LEAD_GAP = 16
const BAND_GAP = 28 // between rows side by side
const PANEL_GAP = 40
const LEAST_WIDTH = 440

export interface SheetCell {
  /** At most `SHEET_SIDE` pixels wide and high; null if there is no image. */
  readonly tile: Tile | null
  /** Shortened in the middle if too long. */
  readonly name: string
  /** Under the name. */
  readonly note?: string
  /** Framed in blue. */
  readonly isMarked?: boolean
}

export interface SheetRow {
  readonly caption?: string
  /** Set apart on the left, such as a query. */
  readonly lead?: SheetCell
  readonly cells: readonly SheetCell[]
}

export interface ContactSheet {
  readonly title: string
  readonly subtitle?: string
  readonly footer?: string
  readonly rows: readonly SheetRow[]
  /** Cells per row without the lead; longer rows wrap. */
  readonly columns: number
  /** Whether short rows are placed side by side. */
  readonly isDense?: boolean
}

/** Elements and tiles as if they began at (0, 0). */
interface Block {
  readonly elements: readonly string[]
  readonly tiles: readonly PlacedTile[]
  readonly height: number
}

/** Returns a PNG: the rows in as many panels side by side as make it fit a screen. Throws `SHAPE` for an image that is too large. */
export async function drawContactSheet({
  title,
  subtitle,
  footer,
  rows,
  columns,
  isDense = false,
}: ContactSheet): Promise<Buffer> {
  const bands = isDense ? together(rows, columns) : rows.map((row) => [row])
  const start = rows.some(({ lead }) => lead) ? SHEET_SIDE + GAP + LEAD_GAP : 0
  const widths = bands.map((band) =>
    band.reduce((sum, row) => sum + spanOf(row, columns) + BAND_GAP, -BAND_GAP),
  )
  const panel = Math.max(LEAST_WIDTH, start + Math.max(SHEET_SIDE, ...widths))
  const blocks: Block[] = []
  for (const band of bands) blocks.push(await blockOf(band, { start, columns, room: panel }))

  const { panels, height } = bestPanels(blocks, panel)
  const each = Math.ceil(blocks.length / panels)
  const width = panels * (panel + PANEL_GAP) - PANEL_GAP + 2 * MARGIN
  const elements: string[] = []
  const tiles: PlacedTile[] = []
  const put = async (text: string, face: Face, top: number): Promise<number> => {
    const made = await textBlock(text, face, { x: MARGIN, y: top, room: width - 2 * MARGIN })
    elements.push(...made.elements)
    return made.bottom
  }
  let top = await put(title, faces.title, MARGIN - 4)
  if (subtitle) top = await put(subtitle, faces.subtitle, top + 2)
  top += 12
  for (let p = 0; p < panels; p++) {
    const x = MARGIN + p * (panel + PANEL_GAP)
    let y = top
    for (const block of blocks.slice(p * each, (p + 1) * each)) {
      elements.push(`<g transform="translate(${x} ${y})">${block.elements.join('')}</g>`)
      tiles.push(...block.tiles.map((tile) => ({ ...tile, x: tile.x + x, y: tile.y + y })))
      y += block.height
    }
  }
  const end = footer ? await put(footer, faces.footer, top + height) : top + height
  const canvas = await drawSvg(svgDocument(width, end + MARGIN - 8, elements))
  for (const tile of tiles) paintTile(canvas, tile)
  return encodePng(canvas)
}

/** How many panels bring the sheet nearest to the shape of a screen, and the height of the tallest. */
function bestPanels(blocks: readonly Block[], panel: number): { panels: number; height: number } {
  const shapes = Array.from({ length: Math.max(1, blocks.length) }, (_, i) => {
    const each = Math.ceil(blocks.length / (i + 1))
    const parts = Array.from({ length: i + 1 }, (_, p) => blocks.slice(p * each, (p + 1) * each))
    const height = Math.max(...parts.map((part) => part.reduce((sum, block) => sum + block.height, 0)))
    const away = Math.abs(Math.log(((i + 1) * (panel + PANEL_GAP)) / Math.max(1, height) / SCREEN))
    return { panels: i + 1, height, away, isFull: parts.every((part) => part.length > 0) || i === 0 }
  }).filter(({ isFull }) => isFull)
  return shapes.reduce((best, shape) => (shape.away < best.away ? shape : best))
}

/** Text as lines of elements. */
async function textBlock(
  text: string,
  { lineHeight, ...face }: Face,
  { x, y, room }: { x: number; y: number; room: number },
): Promise<{ elements: string[]; bottom: number }> {
  const wrapped = await wrapText(text, face, room)
  const elements = wrapped.map((line, i) =>
    textElement({ text: line, x, y: y + i * lineHeight + Math.round(0.8 * lineHeight), ...face }),
  )
  return { elements, bottom: y + wrapped.length * lineHeight }
}

async function blockOf(
  band: readonly SheetRow[],
  { start, columns, room }: { start: number; columns: number; room: number },
): Promise<Block> {
  const elements: string[] = []
  const tiles: PlacedTile[] = []
  const put = async (text: string, face: Face, at: { x: number; y: number; room: number }) => {
    const made = await textBlock(text, face, at)
    elements.push(...made.elements)
    return made.bottom
  }

  /** Returns the bottom of the cell. */
  const cell = async ({ tile, name, note, isMarked }: SheetCell, x: number, y: number): Promise<number> => {
    const square = `<rect x="${x}" y="${y}" width="${SHEET_SIDE}" height="${SHEET_SIDE}" fill="#f3f4f6"/>`
    elements.push(square)
    if (isMarked)
      elements.push(
        `<rect x="${x - 2.5}" y="${y - 2.5}" width="${SHEET_SIDE + 5}" height="${SHEET_SIDE + 5}" fill="none" stroke="#2563eb" stroke-width="3"/>`,
      )
    if (tile) tiles.push(centred(tile, x, y))
    else {
      const text = 'no picture'
      const left = x + (SHEET_SIDE - (await measure(text, faces.subtitle))) / 2
      await put(text, faces.footer, { x: Math.round(left), y: y + SHEET_SIDE / 2 - 8, room: SHEET_SIDE })
    }
    let below = y + SHEET_SIDE + 4
    for (const [text, face] of [
      [name, faces.subtitle],
      [note ?? '', faces.footer],
    ] as const) {
      if (text === '') continue
      const fitting = await shortened(text, face, SHEET_SIDE)
      await put(fitting, face, { x, y: below, room: Number.POSITIVE_INFINITY })
      below += faces.subtitle.lineHeight
    }
    return below
  }

  const lefts = band.map((_, i) =>
    band.slice(0, i).reduce((sum, row) => sum + spanOf(row, columns) + BAND_GAP, start),
  )
  let top = 0
  for (const [i, { caption }] of band.entries()) {
    if (!caption) continue
    const place = band.length > 1 ? { x: lefts[i]!, room: spanOf(band[i]!, columns) } : { x: 0, room }
    top = Math.max(top, (await put(caption, faces.heading, { ...place, y: 0 })) + 5)
  }
  let bottom = top
  for (const [i, { lead, cells }] of band.entries()) {
    if (lead) bottom = Math.max(bottom, await cell(lead, 0, top))
    for (let first = 0, at = top; first < cells.length; first += columns) {
      let lowest = at
      for (const [c, each] of cells.slice(first, first + columns).entries())
        lowest = Math.max(lowest, await cell(each, lefts[i]! + c * (SHEET_SIDE + GAP), at))
      bottom = Math.max(bottom, lowest)
      at = lowest + GAP
    }
  }
  return { elements, tiles, height: bottom + GAP + 2 }
}

/** Width of a row's cells in pixels. */
const spanOf = ({ cells }: SheetRow, columns: number): number =>
  Math.max(1, Math.min(cells.length, columns)) * (SHEET_SIDE + GAP) - GAP

/** Groups rows that fit side by side. */
function together(rows: readonly SheetRow[], columns: number): SheetRow[][] {
  const most = columns * (SHEET_SIDE + GAP) - GAP
  const bands: SheetRow[][] = []
  let used = Number.POSITIVE_INFINITY
  for (const row of rows) {
    const span = spanOf(row, columns)
    if (used + BAND_GAP + span > most) {
      bands.push([row])
      used = span
    } else {
      bands.at(-1)!.push(row)
      used += BAND_GAP + span
    }
  }
  return bands
}

/** Centres a tile in its square, enlarging small ones by an integer factor. */
function centred(tile: Tile, x: number, y: number) {
  const { width, height } = tile
  const longer = Math.max(width, height)
  if (longer > SHEET_SIDE)
    throw new SherdError(
      'SHAPE',
      `drawContactSheet: expected images of at most ${SHEET_SIDE} pixels a side, got ${width} × ${height}`,
    )
  const factor = Math.floor(SHEET_SIDE / longer)
  return {
    ...{ tile, factor },
    x: x + Math.floor((SHEET_SIDE - width * factor) / 2),
    y: y + Math.floor((SHEET_SIDE - height * factor) / 2),
  }
}
