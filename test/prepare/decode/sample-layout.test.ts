import { describe, expect, it } from 'vitest'
import { storeSample } from '../../../src/prepare/decode/sample-layout.ts'

describe('storeSample', () => {
  it('copies, mirrors, and makes luma', () => {
    const rgb = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]) // 2 x 2
    const out = new Uint8Array(12)
    storeSample(rgb, out, { width: 2, channels: 3, flip: false })
    expect([...out]).toEqual([...rgb])
    storeSample(rgb, out, { width: 2, channels: 3, flip: true })
    expect([...out]).toEqual([4, 5, 6, 1, 2, 3, 10, 11, 12, 7, 8, 9])
  })

  it('gives the luma of Pillow’s convert("L")', () => {
    const colours = [
      200, 30, 60, 0, 0, 0, 255, 255, 255, 12, 200, 100, 17, 17, 17, 255, 0, 0, 0, 255, 0, 0, 0, 255,
    ]
    const out = new Uint8Array(8)
    storeSample(Uint8Array.from(colours), out, { width: 4, channels: 1, flip: false })
    expect([...out]).toEqual([84, 0, 255, 132, 17, 76, 150, 29])
    storeSample(Uint8Array.from(colours), out, { width: 4, channels: 1, flip: true })
    expect([...out]).toEqual([132, 255, 0, 84, 29, 150, 76, 17])
  })

  it('leaves grey as it is', () => {
    const greys = Uint8Array.from({ length: 256 * 3 }, (_, i) => Math.floor(i / 3))
    const out = new Uint8Array(256)
    storeSample(greys, out, { width: 16, channels: 1, flip: false })
    expect([...out]).toEqual(Array.from({ length: 256 }, (_, i) => i))
  })
})
