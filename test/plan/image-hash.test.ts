import { describe, expect, it } from 'vitest'
import { hashDistance, hashOf, lookAt, nearDuplicates, THUMBNAIL } from '../../src/plan/image-hash.ts'

/** A thumbnail whose pixel at (x, y) is `colour`. */
function thumbnail(colour: (x: number, y: number) => readonly [number, number, number]): Uint8Array {
  const { width, height } = THUMBNAIL
  const pixels = new Uint8Array(3 * width * height)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) pixels.set(colour(x, y), 3 * (y * width + x))
  return pixels
}
const grey = (level: number) => [level, level, level] as const

describe('hashOf', () => {
  it('has a bit for each cell that is brighter than its left one, then for each that is brighter than the upper one', () => {
    // 9 × 8 cells, brighter to the right: 8 bits in each of 8 rows, then 9 · 7 bits that are not set
    expect([...hashOf(Float64Array.from({ length: 72 }, (_, i) => i % 9))]).toEqual([-1, -1, 0, 0])
    // brighter downwards: 63 bits from bit 64 on
    const down = hashOf(Float64Array.from({ length: 72 }, (_, i) => Math.floor(i / 9)))
    expect([...down]).toEqual([0, 0, -1, 0x7fffffff])
  })
  it('differs by the bits that one cell decides', () => {
    const cells = Float64Array.from({ length: 72 }, (_, i) => i % 9)
    const changed = cells.with(4 * 9 + 4, 100) // its right neighbour is darker now, it is brighter than the one above, the one below is not
    expect(hashDistance(hashOf(cells), hashOf(changed))).toBe(2)
  })
})

it('counts the bits that differ', () => {
  expect(hashDistance(Int32Array.of(0, 0, 0, 0), Int32Array.of(-1, 1, 0, 0x70000000))).toBe(32 + 1 + 3)
})

describe('lookAt', () => {
  it('measures brightness and contrast', () => {
    // the left 5 of 9 columns of cells are black, the right 4 white: the mean is 4/9, the deviation √(4/9 · 5/9)
    const look = lookAt(thumbnail((x) => grey(x < 20 ? 0 : 255)))
    expect(look.brightness).toBeCloseTo(4 / 9, 6)
    expect(look.contrast).toBeCloseTo(Math.sqrt(20) / 9, 6)
    expect(look.isGrey).toBe(true)
  })
  it('takes luma, and sees colour in one pixel', () => {
    const look = lookAt(thumbnail(() => [255, 0, 0]))
    expect(look.brightness).toBeCloseTo(0.299, 6)
    expect(look.contrast).toBeCloseTo(0, 6)
    expect(look.isGrey).toBe(false)
    expect(lookAt(thumbnail((x, y) => (x + y === 0 ? [100, 107, 100] : grey(100)))).isGrey).toBe(false)
    expect(lookAt(thumbnail(() => [100, 106, 103])).isGrey).toBe(true)
  })
})

describe('nearDuplicates', () => {
  const wave = (x: number, y: number) => 128 + 60 * Math.sin(x / 5) + 50 * Math.cos(y / 4)
  const first = lookAt(thumbnail((x, y) => grey(wave(x, y))))
  const brighter = lookAt(thumbnail((x, y) => grey(0.9 * wave(x, y) + 12)))
  const other = lookAt(thumbnail((x, y) => grey(wave(y, x))))
  const blank = lookAt(thumbnail(() => grey(200)))
  it('finds copies with other brightness and contrast, not other images', () => {
    expect([...nearDuplicates([first, other, brighter, first])]).toEqual([-1, -1, 0, 0])
  })
  it('compares no images without structure', () => {
    expect([...nearDuplicates([blank, blank, first])]).toEqual([-1, -1, -1])
  })
})
