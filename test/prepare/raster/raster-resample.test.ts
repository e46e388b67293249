import { describe, expect, it } from 'vitest'
import {
  mirrorRows,
  resampleBy,
  resampleRaster,
  tapsOf,
} from '../../../src/prepare/raster/raster-resample.ts'
import { draws } from '../../../src/random/draws.ts'
import type { Size } from '../../../src/source/box.ts'

// What PyTorch 1.13 computes: F.interpolate(v, size=s, mode='bilinear', antialias=True, align_corners=False), float64.
const image = [
  ...[0, 5, 3, 11, 12, 6, 10],
  ...[3, 15, 3, 1, 9, 10, 4],
  ...[12, 14, 9, 14, 12, 3, 4],
  ...[10, 2, 4, 16, 4, 2, 10],
  ...[14, 13, 5, 7, 2, 7, 5],
]
const torch: readonly [Size, readonly number[]][] = [
  [
    { width: 4, height: 3 },
    [
      ...[4.795918, 5.297143, 8.994286, 7.707483, 10.269841, 8.955556],
      ...[9.071111, 5.10582, 10.204082, 7.074286, 5.497143, 5.959184],
    ],
  ],
  [{ width: 2, height: 2 }, [7.375264, 7.584567, 8.768499, 6.396406]],
  [
    { width: 3, height: 10 },
    [
      ...[2.785714, 8.705882, 8.714286, 4.125, 7.705882, 8.446429, 6.803571, 5.705882, 7.910714, 9.160714],
      ...[6.455882, 7.053571, 11.196429, 9.955882, 5.875, 10.482143, 10.955882, 5.285714, 7.017857, 9.455882],
      ...[5.285714, 6.875, 7.955882, 5.267857, 10.053571, 6.455882, 5.232143, 11.642857, 5.705882, 5.214286],
    ],
  ],
]

/** The same by its definition: every output a sum over all inputs, in two dimensions at once. */
function slowly(values: readonly number[], from: Size, to: Size): number[] {
  const weight = (o: number, i: number, inputs: number, outputs: number) => {
    const scale = inputs / outputs
    const reach = Math.max(1, scale)
    return Math.max(0, 1 - Math.abs(i + 0.5 - (o + 0.5) * scale) / reach)
  }
  return Array.from({ length: to.width * to.height }, (_, o) => {
    const [row, column] = [Math.floor(o / to.width), o % to.width]
    let [sum, valid, all] = [0, 0, 0]
    for (const [i, value] of values.entries()) {
      const share =
        weight(row, Math.floor(i / from.width), from.height, to.height) *
        weight(column, i % from.width, from.width, to.width)
      all += share
      if (Number.isNaN(value)) continue
      valid += share
      sum += share * value
    }
    return valid / all < 0.5 - 1e-9 ? Number.NaN : sum / valid
  })
}

const expectClose = (got: ArrayLike<number>, expected: readonly number[]) => {
  expect(got.length).toBe(expected.length)
  for (const [i, value] of expected.entries())
    if (Number.isNaN(value)) expect(got[i]).toBeNaN()
    else expect(Math.abs(got[i]! - value), `at ${i}`).toBeLessThan(2e-6 * (1 + Math.abs(value)))
}

describe('resampling rasters', () => {
  it.each(torch)('to %o gives what PyTorch does', (target, expected) => {
    expectClose(resampleRaster(Float32Array.from(image), { width: 7, height: 5 }, target), expected)
  })

  it('gives the image itself at its own size', () => {
    const values = Float32Array.of(1, Number.NaN, 3, 4)
    expect(resampleRaster(values, { width: 2, height: 2 }, { width: 2, height: 2 })).toBe(values)
  })

  it('leaves out what has no data, and has none where less than half is left', () => {
    const row = (...values: number[]) => Float32Array.from(values)
    const to = (values: Float32Array, width: number) => [
      ...resampleRaster(values, { width: values.length, height: 1 }, { width, height: 1 }),
    ]
    // Two to one: weights 1/2, 1/2 at the middle of a pair; a triangle of reach 2 over four: 1/8, 3/8, 3/8, 1/8.
    expect(to(row(2, Number.NaN), 1)).toEqual([2])
    expect(to(row(Number.NaN, Number.NaN), 1)).toEqual([Number.NaN])
    expectClose(
      to(row(1, 2, Number.NaN, 4, 5, 6, 7, 8), 4),
      slowly([1, 2, Number.NaN, 4, 5, 6, 7, 8], { width: 8, height: 1 }, { width: 4, height: 1 }),
    )
    // Doubled: each output has 3/4 of its own pixel and 1/4 of a neighbour.
    expect(to(row(4, Number.NaN, 8), 6)).toEqual([4, 4, Number.NaN, Number.NaN, 8, 8])
  })

  it('is the sum of its definition for any sizes and any holes', () => {
    for (let index = 0; index < 80; index++) {
      const draw = draws({ seed: 7, stream: 'crop', epoch: 0, index })
      const side = () => 1 + draw.below(14)
      const [from, to] = [
        { width: side(), height: side() },
        { width: side(), height: side() },
      ]
      const holes = index % 4 === 0 ? 0 : draw.uniform()
      const values = Array.from({ length: from.width * from.height }, () =>
        draw.uniform() < holes ? Number.NaN : Math.fround(1000 * draw.uniform()),
      )
      if (from.width === to.width && from.height === to.height) continue
      expectClose(resampleRaster(Float32Array.from(values), from, to), slowly(values, from, to))
    }
  })

  it('gives in parts what it gives as a whole', () => {
    const whole = resampleRaster(Float32Array.from(image), { width: 7, height: 5 }, { width: 21, height: 10 })
    const across = tapsOf({ inputs: 7, outputs: 21, first: 5, count: 6 })
    const down = tapsOf({ inputs: 5, outputs: 10, first: 3, count: 4 })
    expect([across.from, across.to, down.from, down.to]).toEqual([1, 5, 1, 4]) // the last with a weight of 0
    const read = Float32Array.from(
      { length: 12 },
      (_, i) => image[(1 + Math.floor(i / 4)) * 7 + 1 + (i % 4)]!,
    )
    const part = resampleBy(read, across, down)
    for (let y = 0; y < 4; y++)
      for (let x = 0; x < 6; x++) expect(part[y * 6 + x]).toBe(whole[(y + 3) * 21 + x + 5])
  })

  it('mirrors rows', () => {
    const values = Float32Array.of(1, 2, 3, 4, 5, 6)
    mirrorRows(values, 3)
    expect([...values]).toEqual([3, 2, 1, 6, 5, 4])
  })
})
