/** Rows of small images with their names: what a search has found, what belongs together. Every name fits under its image. */
import { SherdError } from '../errors.ts'
import { type Face, faces } from './grid-layout.ts'
import { drawSvg, encodePng, svgDocument } from './render.ts'
import { measure, textElement, wrapText } from './text.ts'
import { paintTile, type Tile } from './tile.ts'

/** The side in pixels of the square that each image is shown in. */
export const SHEET_SIDE = 128
const MARGIN = 20
const GAP = 12
const LEAD_GAP = 16

export interface SheetCell {
  /** At most `SHEET_SIDE` pixels wide and high; null where there is no picture to show. */
  readonly tile: Tile | null
  /** Shortened in the middle where it is too long. */
  readonly name: string
  /** Under the name. */
  readonly note?: string
  /** Framed in blue. */
  readonly isMarked?: boolean
}

export interface SheetRow {
  readonly caption?: string
  /** Set apart on the left, such as what was searched for. */
  readonly lead?: SheetCell
  readonly cells: readonly SheetCell[]
}

export interface ContactSheet {
  readonly title: string
  readonly subtitle?: string
  readonly footer?: string
  readonly rows: readonly SheetRow[]
  /** Cells side by side, the lead not counted; rows that have more go on below. */
  readonly columns: number
}

/** `text` as it is, or with the middle left out so that it is at most `width` pixels wide. */
export async function shortened(text: string, face: Pick<Face, 'size'>, width: number): Promise<string> {
  if ((await measure(text, face)) <= width) return text
  const letters = Array.from(text)
  const cut = (kept: number) =>
    `${letters.slice(0, Math.ceil(kept / 2)).join('')}…${letters.slice(letters.length - Math.floor(kept / 2)).join('')}`
  let [fits, tooMany] = [0, letters.length]
  while (tooMany - fits > 1) {
    const middle = Math.floor((fits + tooMany) / 2)
    if ((await measure(cut(middle), face)) <= width) fits = middle
    else tooMany = middle
  }
  return cut(fits)
}

/** Draws the sheet as PNG. Throws `SHAPE` for an image that is too large. */
export async function drawContactSheet({
  title,
  subtitle,
  footer,
  rows,
  columns,
}: ContactSheet): Promise<Buffer> {
  const hasLead = rows.some(({ lead }) => lead)
  const most = Math.max(1, ...rows.map(({ cells }) => Math.min(cells.length, columns)))
  const start = MARGIN + (hasLead ? SHEET_SIDE + GAP + LEAD_GAP : 0)
  const width = Math.max(480, start + most * (SHEET_SIDE + GAP) - GAP + MARGIN)
  const elements: string[] = []
  const tiles: { tile: Tile; x: number; y: number; factor: number }[] = []

  const lines = async (text: string, face: Face, y: number): Promise<number> => {
    const wrapped = await wrapText(text, face, width - 2 * MARGIN)
    for (const [i, line] of wrapped.entries()) put(line, face, MARGIN, y + i * face.lineHeight)
    return y + wrapped.length * face.lineHeight
  }
  const put = (text: string, { lineHeight, ...face }: Face, x: number, top: number) =>
    elements.push(textElement({ text, x, y: top + Math.round(0.8 * lineHeight), ...face }))

  /** Gives the bottom of the cell. */
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

  let y = await lines(title, faces.title, MARGIN - 4)
  if (subtitle) y = await lines(subtitle, faces.subtitle, y + 2)
  y += 12
  for (const { caption, lead, cells } of rows) {
    if (caption) y = (await lines(caption, faces.heading, y)) + 5
    let bottom = lead ? await cell(lead, MARGIN, y) : y
    for (let first = 0, top = y; first < cells.length; first += columns) {
      const line = cells.slice(first, first + columns)
      let lowest = top
      for (const [i, each] of line.entries())
        lowest = Math.max(lowest, await cell(each, start + i * (SHEET_SIDE + GAP), top))
      bottom = Math.max(bottom, lowest)
      top = lowest + GAP
    }
    y = bottom + GAP + 2
  }
  if (footer) y = await lines(footer, faces.footer, y)
  const canvas = await drawSvg(svgDocument(width, y + MARGIN - 8, elements))
  for (const tile of tiles) paintTile(canvas, tile)
  return encodePng(canvas)
}

/** In the middle of its square, enlarged by a whole factor where it is small. */
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
