import { describe, expect, it } from 'vitest'
import { resizeBicubic } from '../../../src/prepare/decode/resize.ts'

// 6 x 5 pixels of RGB. The expected bytes are Pillow 9.4's:
// Image.fromarray(a).crop((l, t, l + w, t + h)).resize(size, Image.BICUBIC).tobytes()
const image = {
  width: 6,
  height: 5,
  pixels: Uint8Array.from({ length: 90 }, (_, i) => (7 * i * i + 13 * i) % 256),
}

describe('resizeBicubic', () => {
  it('shrinks as Pillow does, byte for byte', () => {
    const box = { left: 0, top: 0, width: 6, height: 5 }
    expect([...resizeBicubic(image, box, { width: 3, height: 2 })]).toEqual([
      97, 131, 145, 131, 136, 144, 133, 131, 136, 134, 174, 71, 133, 128, 117, 124, 95, 155,
    ])
  })

  it('enlarges a box as Pillow does, without the pixels around it', () => {
    const box = { left: 1, top: 1, width: 3, height: 2 }
    expect([...resizeBicubic(image, box, { width: 4, height: 3 })]).toEqual([
      13, 83, 170, 184, 74, 208, 205, 140, 182, 62, 239, 110, 85, 146, 85, 144, 143, 109, 159, 139, 141, 121,
      135, 163, 157, 208, 0, 103, 212, 9, 113, 137, 100, 179, 31, 216,
    ])
  })

  it('shrinks one way and enlarges the other', () => {
    const box = { left: 0, top: 1, width: 6, height: 2 }
    expect([...resizeBicubic(image, box, { width: 2, height: 4 })]).toEqual([
      144, 139, 205, 85, 174, 123, 135, 142, 167, 102, 151, 137, 118, 146, 93, 134, 104, 165, 109, 149, 55,
      151, 81, 179,
    ])
  })

  it('copies when nothing changes', () => {
    const box = { left: 0, top: 0, width: 6, height: 5 }
    expect([...resizeBicubic(image, box, box)]).toEqual([...image.pixels])
  })
})
