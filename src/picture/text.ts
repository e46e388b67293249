/** Text of pictures: measuring, wrapping, SVG elements. Widths are measured with the font that draws. */
import { sharp } from '../files/sharp.ts'
import { escapeXml } from '../files/xml.ts'
import { useFonts } from './fonts.ts'

export interface TextStyle {
  /** Pixels per em. */
  readonly size: number
  readonly bold?: boolean
}

const widths = new Map<string, number>()

/** The width of one line in pixels. */
export async function measure(text: string, { size, bold = false }: TextStyle): Promise<number> {
  if (text.trim() === '') return 0
  const font = `DejaVu Sans${bold ? ' Bold' : ''} ${size}`
  const key = `${font} ${text}`
  let width = widths.get(key)
  if (width === undefined) {
    useFonts()
    const line = sharp({ text: { text: escapeXml(text), font, dpi: 72, wrap: 'none' } })
    width = (await line.metadata()).width
    if (widths.size > 10_000) widths.clear()
    widths.set(key, width)
  }
  return width
}

/** Breaks `text` at spaces and `\n` into lines of at most `width` pixels; words are never broken. */
export async function wrapText(text: string, style: TextStyle, width: number): Promise<string[]> {
  const lines: string[] = []
  for (const paragraph of text.split('\n')) {
    let line = ''
    for (const word of words(paragraph)) {
      const longer = line === '' ? word : `${line} ${word}`
      if (line !== '' && (await measure(longer, style)) > width) {
        lines.push(line)
        line = word
      } else line = longer
    }
    lines.push(line)
  }
  return lines
}

/** The least width of a column for the text. */
export async function widestWord(text: string, style: TextStyle): Promise<number> {
  const each = await Promise.all(words(text.replaceAll('\n', ' ')).map((word) => measure(word, style)))
  return Math.max(0, ...each)
}

/** `text`, with its middle removed if it is wider than `width` pixels. */
export async function shortened(text: string, style: TextStyle, width: number): Promise<string> {
  if ((await measure(text, style)) <= width) return text
  const letters = Array.from(text)
  const cut = (kept: number) =>
    `${letters.slice(0, Math.ceil(kept / 2)).join('')}…${letters.slice(letters.length - Math.floor(kept / 2)).join('')}`
  let [fits, tooMany] = [0, letters.length]
  while (tooMany - fits > 1) {
    const middle = Math.floor((fits + tooMany) / 2)
    if ((await measure(cut(middle), style)) <= width) fits = middle
    else tooMany = middle
  }
  return cut(fits)
}

// Only the plain space breaks: a no-break space keeps "75 %" together.
const words = (text: string) => text.split(/[ \t]+/).filter((word) => word !== '')

export interface PlacedText extends TextStyle {
  readonly text: string
  /** Of the start, middle or end of the baseline, by `anchor`. */
  readonly x: number
  readonly y: number
  readonly fill: string
  readonly anchor?: 'start' | 'middle' | 'end'
  /** Further SVG attributes, already escaped. */
  readonly more?: string
}

export function textElement({
  text,
  x,
  y,
  size,
  bold,
  fill,
  anchor = 'start',
  more = '',
}: PlacedText): string {
  const weight = bold ? ' font-weight="bold"' : ''
  return `<text x="${x}" y="${y}" font-size="${size}"${weight} fill="${fill}" text-anchor="${anchor}"${more && ` ${more}`}>${escapeXml(text)}</text>`
}
