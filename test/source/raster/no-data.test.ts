import { describe, expect, it } from 'vitest'
import { noDataNumber, noDataOf } from '../../../src/source/raster/no-data.ts'

const isNoData = (number: number, value: number, type: Parameters<typeof noDataOf>[1]) => {
  const { low, high } = noDataOf(number, type)
  return value >= low && value <= high
}
const float32 = { kind: 'float', bytes: 4 } as const
const float64 = { kind: 'float', bytes: 8 } as const
const uint8 = { kind: 'unsigned', bytes: 1 } as const

describe('the number for no data', () => {
  it.each<[number, number, boolean]>([
    // The sum of both is beyond float32, where GDAL's comparison is always true.
    [-3.4e38, -3.4028234663852886e38, true],
    [-3.4028234663852886e38, -3.4028234663852886e38, true],
    [3.4e38, 3.3e38, true],
    [-3.4e38, 0, false],
    [-3.4e38, -1e9, false],
    [0.1, Math.fround(0.1), true],
    // |a − b| < 2 · 2⁻²³ · |a + b|, which is 0.0047676 for 9999.
    [-9999, -9999, true],
    [-9999, Math.fround(-9999.0039), true],
    [-9999, Math.fround(-9999.0059), false],
    [-9999, 9999, false],
    [0, 0, true],
    [0, 1e-30, false],
  ])('%d is %d in float32: %s', (number, value, is) => {
    expect(isNoData(number, value, float32)).toBe(is)
  })

  it('is compared more closely in float64, and exactly in whole numbers', () => {
    expect(isNoData(-9999, -9999.0001, float64)).toBe(false)
    expect(isNoData(-9999, -9999, float64)).toBe(true)
    expect(isNoData(-3.4e38, -3.4028234663852886e38, float64)).toBe(false)
    expect([254, 255].map((value) => isNoData(255, value, uint8))).toEqual([false, true])
    expect(isNoData(-1, 255, uint8)).toBe(false)
    expect(isNoData(256, 0, uint8)).toBe(false)
    expect(isNoData(0.5, 0, uint8)).toBe(false)
    expect(isNoData(-128, -128, { kind: 'signed', bytes: 1 })).toBe(true)
  })

  it('may be written as GDAL and others do', () => {
    expect(noDataNumber('-3.39999999999999996e+38')).toBe(-3.4e38)
    expect(noDataNumber(' 0 ')).toBe(0)
    for (const text of ['nan', '-1.#IND', '1.#QNAN', '', 'none']) expect(noDataNumber(text)).toBeNaN()
    expect(isNoData(Number.NaN, 0, float32)).toBe(false)
  })
})
