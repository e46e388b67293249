// Uses of codes by hand; the sheet is a PNG with a row for each code that is shown.
import { expect, it } from 'vitest'
import { drawCodeSheet, perplexityOf, usesOfCodes } from '../../src/picture/code-sheet.ts'
import type { Tile } from '../../src/picture/tile.ts'

it('the most used codes come first, equal ones by their number', () => {
  const uses = usesOfCodes([7, 3, 7, 9, 7, 3, 9, 1])
  expect(uses).toEqual([
    { code: 7, uses: 3, share: 3 / 8 },
    { code: 3, uses: 2, share: 2 / 8 },
    { code: 9, uses: 2, share: 2 / 8 },
    { code: 1, uses: 1, share: 1 / 8 },
  ])
  const entropy = [3, 2, 2, 1].reduce((sum, n) => sum - (n / 8) * Math.log(n / 8), 0)
  expect(perplexityOf(uses)).toBeCloseTo(Math.exp(entropy), 10)
  expect(perplexityOf(usesOfCodes([0, 1, 2, 3]))).toBeCloseTo(4, 10)
})

it('draws patches of each', async () => {
  const patch = (value: number): Tile => ({
    width: 4,
    height: 4,
    channels: 3,
    pixels: new Uint8Array(48).fill(value),
  })
  const patches = new Map([
    [5, [patch(10), patch(20)]],
    [2, [patch(30)]],
  ])
  const heightOf = async (most: number) => {
    const png = await drawCodeSheet({ codes: [5, 5, 2], size: 16, patches, most })
    expect(png.subarray(1, 4).toString('latin1')).toBe('PNG')
    return png.readUInt32BE(16) * png.readUInt32BE(20)
  }
  expect(await heightOf(2)).toBeGreaterThan(await heightOf(1))
})
