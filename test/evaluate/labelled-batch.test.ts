import { describe, expect, it } from 'vitest'
import { type AugmentSettings, labelledBatch, noiseField } from '../../src/evaluate/labelled-batch.ts'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import { drawErasures } from '../../src/prepare/augment/erasing.ts'
import { drawMix } from '../../src/prepare/augment/mixing.ts'
import type { Batch } from '../../src/prepare/loader/loader.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { tiny } from '../model/tiny-model.ts'
import { bands, dates, H, series, T, W } from '../model/tiny-series.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'

const [B, seed, classes] = [4, 5, 3]
const none: AugmentSettings = { mixup: 0, cutmix: 0, smoothing: 0, randAugment: 5, erasing: 0 }
const statistics = { mean: [10, 20, 30, 40], std: [1, 2, 4, 8] }
const noiseValues = wave(T * bands * 4 * H * W, 9).map((x) => 1000 + x)
const noise = () => tensor(noiseValues, [T * bands, 2 * H, 2 * W])
const samples = { epochs: Int32Array.of(0, 0, 1, 1), indices: Int32Array.of(3, 8, 0, 5) }
const labels = Int32Array.of(2, 0, 1, 1)
const area = H * W

/** Whether a pixel of a sample's frame has no data: a column of sample 0, all of frame 1 of sample 3. */
const isGap = (b: number, t: number, column: number) =>
  (b === 0 && t === 0 && column === 2) || (b === 3 && t === 1)
const places = Array.from({ length: B * T * bands * area }, (_, i) => ({
  ...{ b: Math.floor(i / (T * bands * area)), t: Math.floor(i / (bands * area)) % T },
  ...{ band: Math.floor(i / area) % bands, row: Math.floor(i / W) % H, column: i % W },
}))
/** What the batch is after the normalisation: numbers in (−1, 1). */
const normal = wave(places.length, 3)

function batchOf(hasGaps: boolean): Batch {
  const raw = normal.map((x, i) => {
    const { b, t, band, column } = places[i]!
    const isNone = hasGaps && isGap(b, t, column) && band === 1 // one band is enough
    return isNone ? Number.NaN : statistics.mean[band]! + statistics.std[band]! * x
  })
  return {
    ...{ size: B, labels, ...samples },
    fields: {
      image: { data: Float32Array.from(raw), shape: [1, B, T, bands, H, W] },
      'image.times': {
        data: Float64Array.from([1, 2, 3, 4].flatMap(() => [...dates])),
        shape: [1, B, T],
      },
      'image.resolution': { data: Float64Array.of(10, 20, 30, 40), shape: [1, B] },
    },
  }
}
const encoder = { statistics, shape: series, device: 'cpu', channels: null }
function made(settings: Partial<AugmentSettings>, hasGaps = true) {
  const field = noise()
  const { image, targets } = labelledBatch(batchOf(hasGaps), {
    ...{ classes, settings: { ...none, ...settings }, seed, encoder, noise: field },
  })
  return { views: image, targets }
}
const indexOf = (b: number, { t, band, row, column }: (typeof places)[number]) =>
  (((b * T + t) * bands + band) * H + row) * W + column

describe('rasters', () => {
  it('without augmentation are what they are, with zeros where there is no data', () =>
    scope(() => {
      const { views, targets } = made({})
      expectClose(
        views.pixels,
        places.map(({ b, t, column }, i) => (isGap(b, t, column) ? 0 : normal[i]!)),
        1e-5,
      )
      expect(views.valid!.shape).toEqual([B, T, H, W])
      expect(numbers(targets)).toEqual([0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0])
      expect(views.resolution).toEqual(Float64Array.of(10, 20, 30, 40))
      expect(made({}, false).views.valid).toBeNull()
    }))

  it.each([
    ['mixup', { mixup: 0.8 }],
    ['CutMix', { cutmix: 1 }],
    ['both', { mixup: 0.8, cutmix: 1 }],
  ])('a mixed pixel is the mixture of both, and has data only where both its parts have: %s', (_, settings) =>
    scope(() => {
      const mix = drawMix({ mixup: 0, cutmix: 0, ...settings, seed }, samples, { height: H, width: W })
      const { views, targets } = made(settings)
      const valid = numbers(views.valid!)
      let [both, gaps] = [0, 0]
      const expected = places.map((place, i) => {
        const { b, t, row, column } = place
        const partner = mix.partners[b]!
        const [top, left, bottom, right] = mix.boxes.slice(4 * b, 4 * b + 4)
        const isCut = bottom! > top!
        const inside = row >= top! && row < bottom! && column >= left! && column < right!
        const share = isCut ? Number(!inside) : mix.shares[b]!
        const [lacksOwn, lacksOther] = [isGap(b, t, column), isGap(partner, t, column)]
        const isThere = !(share > 0 && lacksOwn) && !(share < 1 && lacksOther)
        expect(valid[(b * T + t) * area + row * W + column]).toBe(Number(isThere))
        if (isThere && share > 0 && share < 1) both++
        if (!isThere) gaps++
        const other = normal[indexOf(partner, place)]!
        return isThere ? share * normal[i]! + (1 - share) * other : 0
      })
      expectClose(views.pixels, expected, 1e-5)
      expect(gaps).toBeGreaterThan(0)
      if (!('cutmix' in settings)) expect(both).toBeGreaterThan(100)
      const mixed = numbers(targets)
      for (let b = 0; b < B; b++) {
        const [own, other] = [labels[b]!, labels[mix.partners[b]!]!]
        const wanted = [0, 0, 0]
        wanted[own]! += mix.shares[b]!
        wanted[other]! += 1 - mix.shares[b]!
        expectClose(mixed.slice(b * classes, (b + 1) * classes), wanted, 1e-6)
      }
    }),
  )

  it.each([true, false])(
    'erases all bands and dates of a box, and makes no data where there is none; gaps: %s',
    (hasGaps) =>
      scope(() => {
        const erasures = drawErasures({ probability: 0.8, seed }, samples, { height: H, width: W })
        expect(erasures.length).toBeGreaterThan(1)
        const { views } = made({ erasing: 0.8 }, hasGaps)
        const expected = places.map(({ b, t, band, row, column }, i) => {
          if (hasGaps && isGap(b, t, column)) return 0
          const found = erasures.find(
            ({ row: r, box }) =>
              r === b &&
              row >= box.top &&
              row < box.top + box.height &&
              column >= box.left &&
              column < box.left + box.width,
          )
          if (!found) return normal[i]!
          const [y, x] = [row - found.box.top + found.noise.top, column - found.box.left + found.noise.left]
          return noiseValues[((t * bands + band) * 2 * H + y) * 2 * W + x]!
        })
        // Noise is around 1000 here: float32 has steps of 6e-5 there.
        expectClose(views.pixels, expected, 1e-4)
        expect(views.valid === null).toBe(!hasGaps)
      }),
  )

  it('keeps pixels, validity and targets', () =>
    scope(() => {
      const [batch, field] = [batchOf(true), noise()]
      const before = liveTensors()
      scope(() =>
        labelledBatch(batch, {
          ...{ classes, settings: { ...none, mixup: 1, erasing: 1 }, seed, encoder, noise: field },
        }),
      )
      expect(liveTensors() - before).toBe(3)
    }))
})

it('images are mixed without a thought of validity', () =>
  scope(() => {
    const pixels = Uint8Array.from({ length: 2 * 180 }, (_, i) => (i * 37) % 256)
    const shape = plainBackbone(tiny)
    const [height, width] = tiny.imageSize
    const two = { epochs: Int32Array.of(0, 0), indices: Int32Array.of(1, 2) }
    const batch: Batch = {
      ...{ size: 2, labels: Int32Array.of(0, 1), ...two },
      fields: { image: { data: pixels.slice(), shape: [1, 2, height, width, 3] } },
    }
    const imageStatistics = { mean: [0.5, 0.25, 0], std: [0.5, 0.25, 1] }
    const { image } = labelledBatch(batch, {
      ...{ classes, settings: { ...none, randAugment: null, mixup: 1 }, seed, noise: noise() },
      encoder: { ...encoder, shape, statistics: imageStatistics },
    })
    const { shares } = drawMix({ mixup: 1, cutmix: 0, seed }, two, { height, width })
    const x = (b: number, c: number, place: number) =>
      (pixels[b * 180 + place * 3 + c]! / 255 - imageStatistics.mean[c]!) / imageStatistics.std[c]!
    const expected = [0, 1].flatMap((b) =>
      [0, 1, 2].flatMap((c) =>
        Array.from(
          { length: 60 },
          (_, place) => shares[b]! * x(b, c, place) + (1 - shares[b]!) * x(1 - b, c, place),
        ),
      ),
    )
    expectClose(image.pixels, expected, 1e-5)
  }))

it('noiseField is standard normal noise for all bands and dates, by its seed, and outlives scopes', () => {
  const large = { ...series, dimensions: { ...series.dimensions, imageSize: [32, 48] as const } }
  const [first, again, other] = scope(() => [1, 1, 2].map((each) => noiseField(large, each, 'cpu')))
  expect(first!.shape).toEqual([T * bands, 64, 96])
  const values = numbers(first!)
  expect(numbers(again!)).toEqual(values)
  expect(numbers(other!)).not.toEqual(values)
  const mean = values.reduce((a, b) => a + b, 0) / values.length
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length
  // 49,152 numbers: four standard errors.
  expect(Math.abs(mean)).toBeLessThan(4 / Math.sqrt(values.length))
  expect(Math.abs(variance - 1)).toBeLessThan(4 * Math.sqrt(2 / values.length))
  for (const each of [first!, again!, other!]) each.dispose()
})
