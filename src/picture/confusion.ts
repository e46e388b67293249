/** Draws a confusion matrix, each row in shares of its class. */
import { SherdError } from '../errors.ts'
import { drawSvg, encodePng, svgDocument } from './render.ts'
import { measure, textElement } from './text.ts'

export interface ConfusionPicture {
  readonly names: readonly string[]
  /** Images by [class][predicted]. */
  readonly confusion: readonly (readonly number[])[]
  readonly title: string
}

const LABEL = { size: 12, fill: '#111827' }
const MARGIN = 24
const LONGEST_NAME = 24

const shortened = (name: string) =>
  name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1)}…` : name

/** Blue by share; white for 0. */
function shade(share: number): string {
  const [from, to] = [
    [255, 255, 255],
    [29, 78, 216],
  ]
  return `rgb(${from!.map((v, i) => Math.round(v + (to![i]! - v) * share)).join(',')})`
}

/** Classes in rows, predictions in columns. Names and numbers that do not fit are omitted. */
export async function drawConfusion({
  names,
  confusion,
  title,
}: ConfusionPicture): Promise<{ svg: string; png: Buffer }> {
  if (names.length === 0 || confusion.length !== names.length)
    throw new SherdError(
      'VALUE',
      `drawConfusion: expected a row for each of ${names.length} names, got ${confusion.length}`,
    )
  const cell = Math.max(4, Math.min(48, Math.floor(900 / names.length)))
  const isNamed = cell >= 14
  const labels = names.map(shortened)
  const wide = isNamed ? Math.max(...(await Promise.all(labels.map((name) => measure(name, LABEL))))) : 0
  const left = MARGIN + Math.ceil(wide) + 8
  const top = 56 + Math.ceil(wide) + 8
  const side = cell * names.length
  const elements = [
    textElement({ text: title, x: MARGIN, y: 28, size: 16, bold: true, fill: LABEL.fill }),
    textElement({
      text: 'rows: the class; columns: what it was taken for; in % of the row',
      x: MARGIN,
      y: 46,
      size: 12,
      fill: '#6b7280',
    }),
  ]
  for (const [row, counts] of confusion.entries()) {
    const total = counts.reduce((a, b) => a + b, 0)
    const y = top + row * cell
    if (isNamed) {
      elements.push(
        textElement({ ...LABEL, text: labels[row]!, x: left - 8, y: y + cell / 2 + 4, anchor: 'end' }),
      )
      const x = left + row * cell + cell / 2 + 4
      elements.push(
        textElement({
          ...LABEL,
          text: labels[row]!,
          x,
          y: top - 8,
          more: `transform="rotate(-90 ${x} ${top - 8})"`,
        }),
      )
    }
    for (const [column, count] of counts.entries()) {
      const share = total > 0 ? count / total : 0
      const x = left + column * cell
      elements.push(`<rect x="${x}" y="${y}" width="${cell}" height="${cell}" fill="${shade(share)}"/>`)
      if (cell >= 30 && count > 0)
        elements.push(
          textElement({
            ...{ text: share < 0.005 ? '<1' : String(Math.round(100 * share)), size: 11, anchor: 'middle' },
            ...{ x: x + cell / 2, y: y + cell / 2 + 4, fill: share > 0.5 ? '#fff' : LABEL.fill },
          }),
        )
    }
  }
  elements.push(
    `<rect x="${left}" y="${top}" width="${side}" height="${side}" fill="none" stroke="#9ca3af"/>`,
  )
  const width = Math.max(
    left + side + MARGIN,
    2 * MARGIN + Math.ceil(await measure(title, { size: 16, bold: true })),
    460,
  )
  const svg = svgDocument(width, top + side + MARGIN, elements)
  return { svg, png: await encodePng(await drawSvg(svg)) }
}
