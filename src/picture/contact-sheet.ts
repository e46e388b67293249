/** Contact sheets: rows of small images with their names. */
import { SherdError } from '../errors.ts'
import { drawSvg, encodePng, svgDocument } from './render.ts'
import { measure, shortened, textElement, wrapText } from './text.ts'
import { paintTile, type Tile } from './tile.ts'
import { type Face, faces } from './tile-grid-layout.ts'

/** Side of the square of each image, in pixels. */
export const SHEET_SIDE = 128
const MARGIN = 20
const GAP = 12
const LEAD_GAP = 16
const BAND_GAP = 28 // between rows side by side

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

/** Returns a PNG. Throws `SHAPE` for an image that is too large. */
export async function drawContactSheet({
  title,
  subtitle,
  footer,
  rows,
  columns,
  isDense = false,
}: ContactSheet): Promise<Buffer> {
  const bands = isDense ? together(rows, columns) : rows.map((row) => [row])
  const hasLead = rows.some(({ lead }) => lead)
  const start = MARGIN + (hasLead ? SHEET_SIDE + GAP + LEAD_GAP : 0)
  const widths = bands.map((band) =>
    band.reduce((sum, row) => sum + spanOf(row, columns) + BAND_GAP, -BAND_GAP),
  )
  const width = Math.max(480, start + Math.max(SHEET_SIDE, ...widths) + MARGIN)
  const elements: string[] = []
  const tiles: { tile: Tile; x: number; y: number; factor: number }[] = []

  /** Returns the bottom of the text. */
  const lines = async (
    text: string,
    face: Face,
    { x = MARGIN, y, room = width - 2 * MARGIN }: { x?: number; y: number; room?: number },
  ): Promise<number> => {
    const wrapped = await wrapText(text, face, room)
    for (const [i, line] of wrapped.entries()) put(line, face, x, y + i * face.lineHeight)
    return y + wrapped.length * face.lineHeight
  }
  const put = (text: string, { lineHeight, ...face }: Face, x: number, top: number) =>
    elements.push(textElement({ text, x, y: top + Math.round(0.8 * lineHeight), ...face }))

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
      put(text, faces.footer, Math.round(left), y + SHEET_SIDE / 2 - 8)
    }
    let below = y + SHEET_SIDE + 4
    for (const [text, face] of [
      [name, faces.subtitle],
      [note ?? '', faces.footer],
    ] as const) {
      if (text === '') continue
      put(await shortened(text, face, SHEET_SIDE), face, x, below)
      below += faces.subtitle.lineHeight
    }
    return below
  }

  let y = await lines(title, faces.title, { y: MARGIN - 4 })
  if (subtitle) y = await lines(subtitle, faces.subtitle, { y: y + 2 })
  y += 12
  for (const band of bands) {
    const lefts = band.map((_, i) =>
      band.slice(0, i).reduce((sum, row) => sum + spanOf(row, columns) + BAND_GAP, start),
    )
    let top = y
    for (const [i, { caption }] of band.entries()) {
      if (!caption) continue
      const [x, room] =
        band.length > 1 ? [lefts[i]!, spanOf(band[i]!, columns)] : [MARGIN, width - 2 * MARGIN]
      top = Math.max(top, (await lines(caption, faces.heading, { x, y, room })) + 5)
    }
    let bottom = top
    for (const [i, { lead, cells }] of band.entries()) {
      if (lead) bottom = Math.max(bottom, await cell(lead, MARGIN, top))
      for (let first = 0, at = top; first < cells.length; first += columns) {
        let lowest = at
        for (const [c, each] of cells.slice(first, first + columns).entries())
          lowest = Math.max(lowest, await cell(each, lefts[i]! + c * (SHEET_SIDE + GAP), at))
        bottom = Math.max(bottom, lowest)
        at = lowest + GAP
      }
    }
    y = bottom + GAP + 2
  }
  if (footer) y = await lines(footer, faces.footer, { y })
  const canvas = await drawSvg(svgDocument(width, y + MARGIN - 8, elements))
  for (const tile of tiles) paintTile(canvas, tile)
  return encodePng(canvas)
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
