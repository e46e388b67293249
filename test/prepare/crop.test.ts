import { describe, expect, it } from 'vitest'
import { type CropSettings, centerCrop, crops } from '../../src/prepare/crop.ts'
import { type Draws, draws } from '../../src/random/draws.ts'
import type { Size } from '../../src/source/box.ts'

const settings: CropSettings = { target: { width: 224, height: 224 }, scale: [0.2, 1], ratio: [3 / 4, 4 / 3] }
const at = (index: number) => draws({ seed: 3, stream: 'crop', epoch: 0, index })

/** Draws that come from a list: uniforms as given, and `below(n)` as `list value · n`, floored. */
function listed(...values: number[]): Draws & { left(): number } {
  const next = () => values.shift() ?? Number.NaN
  const unused = () => {
    throw new Error('not drawn by crops')
  }
  return {
    uniform: next,
    below: (n) => Math.floor(next() * n),
    normal: unused,
    fill: unused,
    permutation: unused,
    left: () => values.length,
  }
}

describe('random crop', () => {
  it('is torchvision’s arithmetic', () => {
    // Area 0.2 + 0.8 · 0.375 = 0.5 of 400 x 300 is 60,000; ratio exp(0) = 1; side √60000 = 244.95 → 245.
    // Top: floor(0.5 · (300 − 245 + 1)) = 28, left: floor(0.25 · (400 − 245 + 1)) = 39.
    const d = listed(0.375, 0.5, 0.5, 0.25)
    expect(crops.random({ width: 400, height: 300 }, settings, d)).toEqual({
      left: 39,
      top: 28,
      width: 245,
      height: 245,
    })
    // Ratio 4/3: width √(60000 · 4/3) = 282.84, height √(60000 · 3/4) = 212.13; the last rows and columns are reached.
    const wide = listed(0.375, 1, 0.9999, 0.9999)
    const box = crops.random({ width: 400, height: 300 }, settings, wide)
    expect(box).toEqual({ left: 400 - 283, top: 300 - 212, width: 283, height: 212 })
  })

  it('tries again while the box does not fit', () => {
    // Scale 1 at ratio 1 of 400 x 300 has side 346 > 300: refused without drawing a place.
    const d = listed(1, 0.5, 0.375, 0.5, 0, 0)
    expect(crops.random({ width: 400, height: 300 }, settings, d)).toEqual({
      left: 0,
      top: 0,
      width: 245,
      height: 245,
    })
    expect(d.left()).toBe(0)
  })

  it('falls back to the centre at the nearest ratio after ten attempts', () => {
    const whole: CropSettings = { ...settings, scale: [1, 1] }
    const fallback = (image: Size) => {
      const d = listed(...Array.from({ length: 22 }, () => 0.5))
      const box = crops.random(image, whole, d)
      expect(d.left()).toBe(2)
      return box
    }
    // Too wide: 300 · 4/3 = 400 of 1000. Too tall: 300 / (3/4) = 400 of 1000.
    expect(fallback({ width: 1000, height: 300 })).toEqual({ left: 300, top: 0, width: 400, height: 300 })
    expect(fallback({ width: 300, height: 1000 })).toEqual({ left: 0, top: 300, width: 300, height: 400 })
    // Within the ratios, but no square of the whole area fits.
    expect(fallback({ width: 320, height: 300 })).toEqual({ left: 0, top: 0, width: 320, height: 300 })
    // Python rounds 7.5 to 8 and 2.5 to 2.
    const halves: CropSettings = { ...whole, ratio: [0.4, 2.5] }
    const noFit = () => listed(...Array.from({ length: 20 }, () => 0.5))
    expect(crops.random({ width: 30, height: 1 }, halves, noFit()).width).toBe(2)
    expect(crops.random({ width: 50, height: 3 }, halves, noFit()).width).toBe(8)
  })

  it('stays inside every image, down to one pixel', () => {
    for (let index = 0; index < 3000; index++) {
      const image = { width: 1 + (index % 37), height: 1 + ((index * 7) % 41) }
      const { left, top, width, height } = crops.random(image, settings, at(index))
      expect(Math.min(left, top) >= 0 && Math.min(width, height) >= 1).toBe(true)
      expect(left + width <= image.width && top + height <= image.height).toBe(true)
    }
  })

  it('has the distribution that the settings say', () => {
    // Half the area at most always fits a square image at these ratios: nothing is drawn twice.
    const image = { width: 1000, height: 1000 }
    const boxes = Array.from({ length: 4000 }, (_, i) =>
      crops.random(image, { ...settings, scale: [0.1, 0.5] }, at(i)),
    )
    const mean = (f: (box: (typeof boxes)[number]) => number) =>
      boxes.reduce((s, b) => s + f(b), 0) / boxes.length
    // Uniform area: mean 0.3, deviation 0.4/√12; log-uniform ratio: mean 0, deviation ln(16/9)/√12. Five standard errors.
    const error = (width: number) => (5 * width) / Math.sqrt(12 * boxes.length)
    expect(Math.abs(mean((b) => (b.width * b.height) / 1e6) - 0.3)).toBeLessThan(error(0.4))
    expect(Math.abs(mean((b) => Math.log(b.width / b.height)))).toBeLessThan(error(Math.log(16 / 9)))
    expect(Math.abs(mean((b) => b.left / (1000 - b.width)) - 0.5)).toBeLessThan(error(1))
    expect(Math.abs(mean((b) => b.top / (1000 - b.height)) - 0.5)).toBeLessThan(error(1))
    const ratios = boxes.map((b) => b.width / b.height)
    expect(Math.min(...ratios)).toBeGreaterThan(0.745)
    expect(Math.max(...ratios)).toBeLessThan(1.345)
  })

  it('is the same for the same address, and on every machine', () => {
    const boxes = [0, 1, 2, 3].map((index) => crops.random({ width: 500, height: 375 }, settings, at(index)))
    expect(boxes).toEqual(
      [0, 1, 2, 3].map((index) => crops.random({ width: 500, height: 375 }, settings, at(index))),
    )
    expect(boxes).toMatchInlineSnapshot(`
      [
        {
          "height": 350,
          "left": 122,
          "top": 8,
          "width": 374,
        },
        {
          "height": 216,
          "left": 121,
          "top": 2,
          "width": 204,
        },
        {
          "height": 325,
          "left": 104,
          "top": 6,
          "width": 313,
        },
        {
          "height": 264,
          "left": 92,
          "top": 82,
          "width": 248,
        },
      ]
    `)
  })
})

describe('centre crop', () => {
  it('is the largest box of the target’s shape', () => {
    expect(centerCrop({ width: 500, height: 375 }, { width: 224, height: 224 })).toEqual({
      left: 62,
      top: 0,
      width: 375,
      height: 375,
    })
    expect(centerCrop({ width: 375, height: 500 }, { width: 224, height: 224 })).toEqual({
      left: 0,
      top: 62,
      width: 375,
      height: 375,
    })
    expect(centerCrop({ width: 100, height: 100 }, { width: 64, height: 32 })).toEqual({
      left: 0,
      top: 25,
      width: 100,
      height: 50,
    })
    expect(centerCrop({ width: 1000, height: 1 }, { width: 1, height: 100 })).toEqual({
      left: 499,
      top: 0,
      width: 1,
      height: 1,
    })
  })
})

describe('no crop', () => {
  it('is the whole image', () => {
    expect(crops.none({ width: 5, height: 9 })).toEqual({ left: 0, top: 0, width: 5, height: 9 })
  })
})
