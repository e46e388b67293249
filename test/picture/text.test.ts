import { expect, it } from 'vitest'
import { drawSvg, svgDocument } from '../../src/picture/render.ts'
import { measure, textElement, widestWord, wrapText } from '../../src/picture/text.ts'

const style = { size: 13, bold: true }

it('measures what is drawn', async () => {
  for (const text of ['reconstruction', 'Mask & <patch>', 'WWWW', 'illicit']) {
    const width = await measure(text, style)
    const { pixels } = await drawSvg(
      svgDocument(300, 30, [textElement({ ...style, text, x: 20, y: 20, fill: '#000' })]),
    )
    const inked = Array.from({ length: 300 }, (_, x) => x).filter((x) =>
      Array.from({ length: 30 }, (_, y) => pixels[(y * 300 + x) * 3]!).some((byte) => byte < 200),
    )
    expect(Math.abs(inked.at(-1)! - inked[0]! + 1 - width)).toBeLessThanOrEqual(3)
  }
  expect(await measure('', style)).toBe(0)
})

it('wraps at spaces, never inside a word or at a no-break space', async () => {
  const text = 'statistics: from visible neighbours'
  const width = await measure('statistics: from', style)
  const lines = await wrapText(text, style, width)
  expect(lines).toEqual(['statistics: from', 'visible', 'neighbours'])
  for (const line of lines) expect(await measure(line, style)).toBeLessThanOrEqual(width)
  expect(await wrapText(text, style, 1)).toEqual(text.split(' '))
  expect(await wrapText('75\u00a0% hidden\nstep 1', style, 1000)).toEqual(['75\u00a0% hidden', 'step 1'])
  expect(await widestWord('a 75\u00a0% b', style)).toBe(await measure('75\u00a0%', style))
})
