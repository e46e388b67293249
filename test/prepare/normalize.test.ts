import { describe, expect, it } from 'vitest'
import {
  normalizePixels,
  type Pixels,
  pickSamples,
  rasterValues,
  toView,
} from '../../src/prepare/normalize.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { expectClose, numbers } from '../tolerance.ts'

const none = Number.NaN
const bytesOf = (values: readonly number[]) => new Uint8Array(Float32Array.from(values).buffer)

describe('images', () => {
  it('by hand: (x / 255 − mean) / std of each channel, channel first', () =>
    scope(() => {
      const pixels = Uint8Array.of(...[0, 255], ...[51, 102], ...[204, 153]) // 1 × 3 pixels of two channels
      const given = { pixels, shape: [1, 1, 3, 2] as const }
      const statistics = { mean: [0.5, 0.2], std: [0.25, 0.1] }
      const expected = [...[-2, -1.2, 1.2], ...[8, 2, 4]]
      expectClose(normalizePixels(given, statistics, 'cpu'), expected, 1e-5)
      const { pixels: images, ...rest } = toView(given, statistics, 'cpu')
      expect(images.shape).toEqual([1, 1, 2, 1, 3])
      expectClose(images, expected, 1e-5)
      expect(rest).toEqual({ valid: null, times: null, resolution: null })
    }))
})

describe('rasters', () => {
  // Two samples of two frames of two bands of 1 × 2 pixels.
  const values = [
    ...[...[0, 100], ...[10, 20]],
    ...[...[500, none], ...[30, 7]],
    ...[...[-40, 60], ...[25, 15]],
    ...[...[none, none], ...[none, none]],
  ]
  const facts = Float64Array.of(...[10, 1000, none], ...[none, none, none])
  const given: Pixels = {
    ...{ pixels: bytesOf(values), shape: [2, 1, 2, 2] },
    rasters: { frames: 2, facts },
  }
  const viewsAt = (statistics: Parameters<typeof toView>[1], pixels = given) =>
    toView(pixels, statistics, 'cpu')
  const statistics = { mean: [60, 15], std: [20, 5] }

  it('by hand: clipped, (x − mean) / std of each band, zeros where there is no data', () =>
    scope(() => {
      const clipping = { low: [20, null], high: [110, 25] }
      const { pixels, valid, times, resolution } = viewsAt({ ...statistics, ...clipping })
      expect(pixels.shape).toEqual([2, 2, 2, 1, 2])
      expectClose(
        pixels,
        [
          ...[...[-2, 2], ...[-1, 1]],
          ...[...[2.5, 0], ...[2, 0]],
          ...[...[-2, 0], ...[2, 0]],
          ...[...[0, 0], ...[0, 0]],
        ],
        1e-6,
      )
      expect(valid!.shape).toEqual([2, 2, 1, 2])
      expect(numbers(valid!)).toEqual([1, 1, 1, 0, 1, 1, 0, 0])
      expect(times).toEqual(Float64Array.of(1000, none, none, none))
      expect(resolution).toEqual(Float64Array.of(10, none))
    }))

  it('does not clip where no limits are told', () =>
    scope(() => {
      const expected = [
        ...[...[-3, 2], ...[-1, 1]],
        ...[...[22, 0], ...[3, 0]],
        ...[...[-5, 0], ...[2, 0]],
        ...[...[0, 0], ...[0, 0]],
      ]
      for (const limits of [{}, { low: [null, null], high: [null, null] }, { low: undefined }])
        expectClose(viewsAt({ ...statistics, ...limits }).pixels, expected, 1e-6)
    }))

  it('says nothing where nothing is known', () =>
    scope(() => {
      const whole: Pixels = {
        ...{ pixels: bytesOf([1, 2, 3, 4]), shape: [1, 1, 2, 2] },
        rasters: { frames: 1, facts: Float64Array.of(none, none) },
      }
      const views = viewsAt({ mean: [0, 0], std: [1, 1] }, whole)
      expect(views).toMatchObject({ valid: null, times: null, resolution: null })
      expect(numbers(views.pixels)).toEqual([1, 2, 3, 4])
    }))

  it('reads floats wherever their bytes begin', () => {
    const shifted = new Uint8Array(given.pixels.length + 1)
    shifted.set(given.pixels, 1)
    const moved = { ...given, pixels: shifted.subarray(1) }
    for (const pixels of [given, moved])
      expect(rasterValues(pixels, given.rasters!)).toEqual(Float32Array.from(values))
  })

  it('picks samples with what is known of them', () =>
    scope(() => {
      const picked = pickSamples(given, [1, 0, 1])
      expect(picked.shape).toEqual([3, 1, 2, 2])
      const [first, second] = [values.slice(0, 8), values.slice(8)]
      expect(rasterValues(picked, picked.rasters!)).toEqual(
        Float32Array.from([...second, ...first, ...second]),
      )
      expect(picked.rasters).toEqual({
        frames: 2,
        facts: Float64Array.of(...[none, none, none], ...[10, 1000, none], ...[none, none, none]),
      })
      const images = pickSamples({ pixels: Uint8Array.of(1, 2, 3, 4), shape: [2, 1, 2, 1] }, [1])
      expect([...images.pixels, images.rasters]).toEqual([3, 4, null])
    }))

  it('keeps the views and nothing else', () =>
    scope(() => {
      const before = liveTensors()
      viewsAt({ ...statistics, low: [0, 0], high: [1, 1] })
      expect(liveTensors() - before).toBe(2) // pixels and where they are valid
    }))
})
