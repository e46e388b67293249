import { describe, expect, it } from 'vitest'
import { normalizePixels, toView } from '../../src/prepare/normalize.ts'
import { type Pixels, pickSamples, type RasterPixels } from '../../src/prepare/pixels.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { expectClose, numbers } from '../tolerance.ts'

const none = Number.NaN

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
  const given: RasterPixels = {
    ...{ pixels: Float32Array.from(values), shape: [2, 2, 2, 1, 2] },
    times: Float64Array.of(...[1000, none], ...[none, none]),
    resolution: Float64Array.of(10, none),
  }
  const viewsAt = (statistics: Parameters<typeof toView>[1], pixels: Pixels = given) =>
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

  it('does not clip where no limits are given', () =>
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
        ...{ pixels: Float32Array.of(1, 2, 3, 4), shape: [1, 1, 2, 1, 2] },
        ...{ times: Float64Array.of(none), resolution: Float64Array.of(none) },
      }
      const views = viewsAt({ mean: [0, 0], std: [1, 1] }, whole)
      expect(views).toMatchObject({ valid: null, times: null, resolution: null })
      expect(numbers(views.pixels)).toEqual([1, 2, 3, 4])
    }))

  it('picks samples with what is known of them', () => {
    const [first, second] = [values.slice(0, 8), values.slice(8)]
    expect(pickSamples(given, [1, 0, 1])).toEqual({
      ...{ pixels: Float32Array.from([...second, ...first, ...second]), shape: [3, 2, 2, 1, 2] },
      times: Float64Array.of(...[none, none], ...[1000, none], ...[none, none]),
      resolution: Float64Array.of(none, 10, none),
    })
    expect(pickSamples({ pixels: Uint8Array.of(1, 2, 3, 4), shape: [2, 1, 2, 1] }, [1])).toEqual({
      ...{ pixels: Uint8Array.of(3, 4), shape: [1, 1, 2, 1] },
    })
  })

  it('keeps the views and nothing else', () =>
    scope(() => {
      const before = liveTensors()
      viewsAt({ ...statistics, low: [0, 0], high: [1, 1] })
      expect(liveTensors() - before).toBe(2) // pixels and where they are valid
    }))
})
