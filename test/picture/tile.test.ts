import { describe, expect, it } from 'vitest'
import { bandsNote, paintTile, tileOf } from '../../src/picture/tile.ts'

const tile = (values: number[], [channels, height, width]: [number, number, number]) =>
  tileOf(Float32Array.from(values), { channels, height, width })

describe('tileOf', () => {
  it('rounds, clips, and blackens what is not a number', () => {
    expect(tile([0, 1, 0.5, -3, 7, Number.NaN], [1, 2, 3])).toEqual({
      width: 3,
      height: 2,
      channels: 1,
      pixels: Uint8Array.of(0, 255, 128, 0, 255, 0),
    })
  })

  it('shows one band of two, and the first three of more, channel last', () => {
    const byte = (n: number) => n / 255
    const two = tile([1, 2].map(byte), [2, 1, 1])
    expect([two.channels, ...two.pixels]).toEqual([1, 1])
    expect([...tile([1, 2, 3, 4, 5, 6, 7, 8].map(byte), [4, 1, 2]).pixels]).toEqual([1, 3, 5, 2, 4, 6])
    expect([1, 2, 3, 4, 13].map(bandsNote)).toEqual([
      null,
      'band 1 of 2',
      null,
      'bands 1–3 of 4 as RGB',
      'bands 1–3 of 13 as RGB',
    ])
  })
})

describe('paintTile', () => {
  const canvas = () => ({ width: 4, height: 3, pixels: new Uint8Array(36) })

  it('makes a square of every pixel', () => {
    const c = canvas()
    const tile = { width: 2, height: 1, channels: 1 as const, pixels: Uint8Array.of(7, 9) }
    paintTile(c, { tile, x: 0, y: 1, factor: 2 })
    const red = [...c.pixels].filter((_, i) => i % 3 === 0)
    expect(red).toEqual([0, 0, 0, 0, 7, 7, 9, 9, 7, 7, 9, 9])
    expect([...c.pixels].filter((_, i) => i % 3 === 2)).toEqual(red)
  })

  it('takes means of n × n pixels for a factor of 1/n', () => {
    const c = canvas()
    const pixels = Uint8Array.of(0, 10, 100, 101, 20, 31, 102, 105) // 61 / 4 = 15.25, 408 / 4 = 102
    paintTile(c, { tile: { width: 4, height: 2, channels: 1, pixels }, x: 1, y: 2, factor: 1 / 2 })
    expect([...c.pixels].filter((_, i) => i % 3 === 1)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 102, 0])
  })

  it('refuses bytes that do not fit', () => {
    const tile = { width: 2, height: 2, channels: 3 as const, pixels: new Uint8Array(4) }
    expect(() => paintTile(canvas(), { tile, x: 0, y: 0, factor: 1 })).toThrow(/2 × 2 .* not 4 bytes/)
  })
})
