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
      expect(new Set(lines.map(({ size, fill }) => `${size} ${fill}`))).toEqual(new Set(['11 #374151']))
      const rowTop = (row: number) => layout.tiles[2 * row]!.y
      const rowBottom = (row: number) => rowTop(row) + side * layout.tiles[0]!.factor
      expect(lines.slice(0, -1).every(({ y }) => y < rowTop(0))).toBe(true)
      expect(rowTop(1) - rowBottom(0)).toBe(8) // null: below the caption before
      expect(layout.tiles[2]!.x).toBe(layout.tiles[0]!.x)
      expect(lines.at(-1)!.y).toBeLessThan(rowTop(2))
      expect(lines.at(-1)!.x).toBe(layout.tiles[4]!.x)
      expect(layout.tiles[4]!.x).toBeGreaterThan(layout.tiles[1]!.x) // beside the first two
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

  const usual = [
    ...columns.slice(0, 3),
    { title: 'reconstruction', subtitle: 'statistics: true (leaks the answer)' },
  ]
  const satellite = (samples: number, composites: number, side: number) => ({
    columns: usual,
    rows: Array.from({ length: samples * composites }, () => usual.map(() => tile(side))),
    captions: Array.from({ length: samples * composites }, (_, r) =>
      r % composites === 0 ? `a-rather-long/path/to/${'x'.repeat(90)}/0000${r}.tif · 2021-03-27` : null,
    ),
    labels: Array.from({ length: samples * composites }, (_, r) => `composite ${r % composites}`),
    footer: 'PSNR and SSIM: hidden patches only.',
  })

  it.each([
    [8, 4, 48, 2], // 32 rows, which were one column 5,836 pixels high
    [6, 4, 96, 1],
    [2, 12, 48, 2], // series of three dates
    [1, 4, 48, 3],
    [24, 1, 224, 0.5], // large images are shrunk
  ])('makes %i blocks of %i rows of %i pixels fit a screen, by a factor of %f', async (...numbers) => {
    const [samples, composites, side, factor] = numbers
    const layout = await layoutGrid(satellite(samples, composites, side))
    const { width, height, tiles, texts } = layout
    expect(Math.max(width, height)).toBeLessThanOrEqual(2000)
    expect(width / height).toBeGreaterThan(samples > 2 ? 0.9 : 0.3)
    expect(width / height).toBeLessThan(2.6)
    expect(new Set(tiles.map((each) => each.factor))).toEqual(new Set([factor]))
    // Blocks stay together; the rows of a panel are below one another, and each panel has its headings.
    const firsts = tiles.filter((_, i) => i % usual.length === 0)
    for (let block = 0; block < samples; block++) {
      const own = firsts.slice(block * composites, (block + 1) * composites)
      expect(new Set(own.map(({ x }) => x)).size).toBe(1)
    }
    const panels = [...new Set(firsts.map(({ x }) => x))]
    expect(texts.filter(({ text }) => text === 'original').map(({ x }) => x)).toEqual(panels)
    expect(texts.filter(({ text }) => text === 'PSNR 20.1 dB')).toHaveLength(1) // a mean of all
    // A label stands left of its row, and no caption leaves its panel.
    const label = texts.filter(({ text }) => text === 'composite')
    expect(label).toHaveLength(samples * composites)
    for (const [i, { x, width }] of label.entries()) expect(x + width).toBeLessThan(firsts[i]!.x)
    const all = boxes(layout)
    for (const [i, box] of all.entries()) {
      expect(box.right).toBeLessThanOrEqual(width - 20)
      for (const other of all.slice(i + 1)) expect(overlap(box, other)).toBe(false)
    }
  })

  it('says by a long caption how it begins and ends', async () => {
    const { texts } = await layoutGrid(satellite(8, 4, 48))
    expect(texts.filter(({ text }) => /^a-rather-long.*….*tif/.test(text))).toHaveLength(8)
  })

  it('refuses rows that do not fit the columns', async () => {
    await expect(layoutGrid({ columns, rows: [columns.map(() => tile(8)), [tile(8)]] })).rejects.toThrow(
      /row 1 has 1 tiles for 4 columns/,
    )
    await expect(layoutGrid({ columns: [{ title: 'x' }], rows: [[tile(8)]], captions: [] })).rejects.toThrow(
      /a caption or null for each of 1 rows, got 0/,
    )
    await expect(
      layoutGrid({ columns: [{ title: 'x' }], rows: [[tile(8)]], labels: ['a', 'b'] }),
    ).rejects.toThrow(/a label or null for each of 1 rows, got 2/)
    await expect(layoutGrid({ columns: [], rows: [] })).rejects.toThrow(/at least one column/)
  })
})
