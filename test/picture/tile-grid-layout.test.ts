import { describe, expect, it } from 'vitest'
import type { Tile } from '../../src/picture/tile.ts'
import { type Column, type GridLayout, layoutGrid } from '../../src/picture/tile-grid-layout.ts'

const tile = (width: number, height = width): Tile => ({
  width,
  height,
  channels: 1,
  pixels: new Uint8Array(width * height),
})

interface Box {
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
}
const boxes = ({ texts, tiles, swatches }: GridLayout): Box[] => [
  ...swatches.map(({ x, y, side }) => ({ left: x, right: x + side, top: y, bottom: y + side })),
  ...texts.map(({ x, y, width, size }) => ({
    left: x,
    right: x + width,
    top: y - 0.8 * size,
    bottom: y + 0.2 * size,
  })),
  ...tiles.map(({ tile: { width, height }, x, y, factor }) => ({
    left: x,
    right: x + width * factor,
    top: y,
    bottom: y + height * factor,
  })),
]
const overlap = (a: Box, b: Box) =>
  a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom

const columns: Column[] = [
  { title: 'original', subtitle: 'bands 1–3 of 10 as RGB' },
  { title: 'masked', subtitle: '75\u00a0% hidden' },
  {
    title: 'reconstruction',
    subtitle: 'statistics: from visible neighbours',
    note: 'PSNR 20.1 dB\nSSIM 0.512',
  },
  {
    title: 'anIdentifierThatNobodyCanBreak',
    subtitle: 'statistics: true (leaks the answer)',
    note: 'one, two, three',
  },
]

describe('layoutGrid', () => {
  it.each([[8], [28], [32], [64], [96], [224]])(
    'cuts nothing off and overlaps nothing with tiles of %i',
    async (side) => {
      const layout = await layoutGrid({
        columns,
        rows: [1, 2].map(() => columns.map(() => tile(side))),
        title: 'A title of many words that does not fit into one line of a picture with small tiles at all',
        footer:
          'PSNR and SSIM: hidden patches only, mean of 2 images. Step 12,000. Then some more words to wrap.',
        legend: [
          'ground',
          'a',
          'a class with a rather long name',
          'sky',
          'water',
          'something else',
          'box',
        ].map((name) => ({ name, colour: [1, 2, 3] as const })),
      })
      const all = boxes(layout)
      for (const [i, box] of all.entries()) {
        expect(box.left).toBeGreaterThanOrEqual(20)
        expect(box.right).toBeLessThanOrEqual(layout.width - 20)
        expect(box.top).toBeGreaterThanOrEqual(16)
        expect(box.bottom).toBeLessThanOrEqual(layout.height - 20)
        for (const other of all.slice(i + 1)) expect(overlap(box, other)).toBe(false)
      }
    },
  )

  it.each([[8], [64]])(
    'puts captions above their rows with tiles of %i, and overlaps nothing',
    async (side) => {
      const rows = [1, 2, 3].map(() => columns.slice(0, 2).map(() => tile(side)))
      const long =
        'a caption of many words that does not fit into one line of a picture of only two columns at all'
      const bare = await layoutGrid({ columns: columns.slice(0, 2), rows })
      const layout = await layoutGrid({
        columns: columns.slice(0, 2),
        rows,
        captions: [long, null, '2021-05-03'],
      })
      const all = boxes(layout)
      for (const [i, box] of all.entries()) {
        expect(box.left).toBeGreaterThanOrEqual(20)
        expect(box.right).toBeLessThanOrEqual(layout.width - 20)
        expect(box.bottom).toBeLessThanOrEqual(layout.height - 20)
        for (const other of all.slice(i + 1)) expect(overlap(box, other)).toBe(false)
      }
      const lines = layout.texts.filter(({ text }) => !bare.texts.some((each) => each.text === text))
      expect(lines.map(({ text }) => text).join(' ')).toBe(`${long} 2021-05-03`)
      expect(new Set(lines.map(({ size, fill }) => `${size} ${fill}`))).toEqual(new Set(['11 #4b5563']))
      const rowTop = (row: number) => layout.tiles[2 * row]!.y
      const rowBottom = (row: number) => rowTop(row) + side * layout.tiles[0]!.factor
      expect(lines.slice(0, -1).every(({ y }) => y < rowTop(0))).toBe(true)
      expect(rowTop(1) - rowBottom(0)).toBe(8) // null: as without captions
      expect(lines.at(-1)!.y).toBeGreaterThan(rowBottom(1))
      expect(lines.at(-1)!.y).toBeLessThan(rowTop(2))
      expect(await layoutGrid({ columns: columns.slice(0, 2), rows, captions: [null, null, null] })).toEqual(
        bare,
      )
    },
  )

  it('enlarges by whole factors to 112 pixels a side, and leaves large tiles alone', async () => {
    const factorOf = async (t: Tile) =>
      (await layoutGrid({ columns: [{ title: 'x' }], rows: [[t]] })).tiles[0]!.factor
    const factors = await Promise.all(
      [tile(16), tile(28), tile(32), tile(96), tile(64, 24), tile(112), tile(224)].map(factorOf),
    )
    expect(factors).toEqual([7, 4, 4, 2, 5, 1, 1])
  })

  it('refuses rows that do not fit the columns', async () => {
    await expect(layoutGrid({ columns, rows: [columns.map(() => tile(8)), [tile(8)]] })).rejects.toThrow(
      /row 1 has 1 tiles for 4 columns/,
    )
    await expect(layoutGrid({ columns: [{ title: 'x' }], rows: [[tile(8)]], captions: [] })).rejects.toThrow(
      /a caption or null for each of 1 rows, got 0/,
    )
    await expect(layoutGrid({ columns: [], rows: [] })).rejects.toThrow(/at least one column/)
  })
})
