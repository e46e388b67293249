import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { drawContactSheet, SHEET_SIDE } from '../../src/picture/contact-sheet.ts'
import { measure, shortened } from '../../src/picture/text.ts'
import type { Tile } from '../../src/picture/tile.ts'

const face = { size: 11 }
const tile = (width: number, height: number, value: number): Tile => ({
  ...{ width, height, channels: 1 },
  pixels: new Uint8Array(width * height).fill(value),
})

async function pixelsOf(png: Buffer) {
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true })
  return {
    ...info,
    at: (x: number, y: number) => [...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3)],
    count: (colour: readonly number[]) => {
      let found = 0
      for (let i = 0; i < data.length; i += 3) if (colour.every((c, j) => data[i + j] === c)) found++
      return found
    },
  }
}

describe('names', () => {
  it('that fit stay, and longer ones lose their middle', async () => {
    expect(await shortened('cat/0001.jpg', face, SHEET_SIDE)).toBe('cat/0001.jpg')
    const long = 'a-folder-of-many-photographs/and-one-of-them-0001.jpg'
    const short = await shortened(long, face, SHEET_SIDE)
    expect(short).toMatch(/^a-fol[^…]*…[^…]*1\.jpg$/)
    expect(await measure(short, face)).toBeLessThanOrEqual(SHEET_SIDE)
    const [start, end] = short.split('…') as [string, string]
    // One letter more would not fit.
    const more = `${long.slice(0, start.length + 1)}…${end}`
    expect(await measure(more, face)).toBeGreaterThan(SHEET_SIDE - 12)
  })

  it('are not cut inside a letter', async () => {
    expect(await shortened('🏺'.repeat(40), face, SHEET_SIDE)).toMatch(/^🏺+…🏺+$/u)
  })
})

describe('a contact sheet', () => {
  it('enlarges small images by a whole factor in the middle of their squares', async () => {
    // 50 × 20 → 100 × 40.
    const png = await drawContactSheet({
      ...{ title: 'Sheet', columns: 3 },
      rows: [{ cells: [{ tile: tile(50, 20, 7), name: 'a' }] }],
    })
    const sheet = await pixelsOf(png)
    expect(sheet.count([7, 7, 7])).toBe(100 * 40)
  })

  it('begins a new row after so many columns', async () => {
    const cells = Array.from({ length: 5 }, (_, i) => ({ tile: tile(128, 128, 1), name: `${i}` }))
    const [one, two] = await Promise.all(
      [5, 3].map(async (columns) =>
        pixelsOf(await drawContactSheet({ title: 'S', columns, rows: [{ cells }] })),
      ),
    )
    expect(one!.width).toBe(20 + 5 * 128 + 4 * 12 + 20)
    expect(two!.width).toBe(480)
    expect(two!.height).toBeGreaterThan(one!.height + 128)
    for (const sheet of [one!, two!]) expect(sheet.count([1, 1, 1])).toBe(5 * 128 * 128)
  })

  it('puts short rows side by side when it is dense, and frames what is marked', async () => {
    const row = (isMarked: boolean) => ({
      caption: 'two',
      cells: [
        { tile: tile(128, 128, 1), name: 'a', isMarked },
        { tile: tile(128, 128, 1), name: 'b' },
      ],
    })
    const rows = [row(true), row(false), row(false)]
    const [plain, dense] = await Promise.all(
      [false, true].map(async (isDense) =>
        pixelsOf(await drawContactSheet({ title: 'S', columns: 10, rows, isDense })),
      ),
    )
    expect(plain!.height - dense!.height).toBeGreaterThan(128)
    expect(dense!.count([1, 1, 1])).toBe(6 * 128 * 128)
    expect(dense!.count([0x25, 0x63, 0xeb])).toBeGreaterThan(3 * 500)
  })

  it('stands in panels side by side, to fit a screen, and keeps every image', async () => {
    const cells = Array.from({ length: 5 }, () => ({ tile: tile(128, 128, 1), name: 'a' }))
    const rows = Array.from({ length: 40 }, (_, i) => ({ caption: `group ${i + 1}`, cells }))
    const sheet = await pixelsOf(await drawContactSheet({ title: 'S', columns: 6, rows, footer: 'the end' }))
    expect(sheet.width / sheet.height).toBeGreaterThan(1.2)
    expect(sheet.width / sheet.height).toBeLessThan(2.1)
    expect(sheet.count([1, 1, 1])).toBe(40 * 5 * 128 * 128)
    // One panel where there is one row; a lead stands in each panel.
    const one = await pixelsOf(await drawContactSheet({ title: 'S', columns: 6, rows: rows.slice(0, 1) }))
    expect(one.width).toBe(2 * 20 + 5 * 140 - 12)
    const led = rows.slice(0, 2).map((row) => ({ ...row, lead: { tile: tile(128, 128, 2), name: 'q' } }))
    const found = await pixelsOf(await drawContactSheet({ title: 'S', columns: 6, rows: led }))
    expect(found.count([2, 2, 2])).toBe(2 * 128 * 128)
  })

  it('says where there is no picture', async () => {
    const cells = [{ tile: null, name: 'gone.jpg' }]
    const sheet = await pixelsOf(await drawContactSheet({ title: 'S', columns: 1, rows: [{ cells }] }))
    const grey = sheet.count([0xf3, 0xf4, 0xf6])
    expect(grey).toBeGreaterThan(0.9 * 128 * 128)
    expect(grey).toBeLessThan(128 * 128)
  })

  it('refuses images that are larger than their squares', async () => {
    const cells = [{ tile: tile(129, 1, 0), name: 'a' }]
    await expect(drawContactSheet({ title: 'S', columns: 1, rows: [{ cells }] })).rejects.toThrow(
      'got 129 × 1',
    )
  })
})
