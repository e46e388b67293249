import sharp from 'sharp'
import { expect, it } from 'vitest'
import { drawGrid } from '../../src/picture/tile-grid.ts'
import { layoutGrid } from '../../src/picture/tile-grid-layout.ts'

it('draws every pixel of a tile as a square where the layout put it, on white', async () => {
  const pixels = Uint8Array.of(200, 10, 10, 10, 200, 10, 10, 10, 200, 90, 90, 90)
  const tile = { width: 2, height: 2, channels: 3 as const, pixels }
  const picture = { columns: [{ title: 'one' }, { title: 'two', note: 'under it' }], rows: [[tile, tile]] }
  const { data, info } = await sharp(await drawGrid(picture))
    .raw()
    .toBuffer({ resolveWithObject: true })
  const layout = await layoutGrid(picture)
  expect([info.width, info.height, info.channels]).toEqual([layout.width, layout.height, 3])
  const at = (x: number, y: number) => [
    ...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3),
  ]

  for (const { x, y, factor } of layout.tiles) {
    for (let row = 0; row < 2 * factor; row += 5) {
      for (let column = 0; column < 2 * factor; column += 5) {
        const i = (Math.floor(row / factor) * 2 + Math.floor(column / factor)) * 3
        expect(at(x + column, y + row)).toEqual([...pixels.subarray(i, i + 3)])
      }
    }
    expect(at(x - 1, y)).toEqual([255, 255, 255])
    expect(at(x + 2 * factor, y)).toEqual([255, 255, 255])
  }
  for (const { x, y, width, size } of layout.texts) {
    const inked = Array.from({ length: width }, (_, i) => i).some((i) =>
      Array.from({ length: size }, (_, j) => at(x + i, y - j)[0]!).some((byte) => byte < 128),
    )
    expect(inked).toBe(true)
  }
})
