import { describe, expect, it } from 'vitest'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import { reconstruct } from '../../src/picture/reconstruction.ts'
import { tileOf } from '../../src/picture/tile.ts'
import { normalizePixels } from '../../src/prepare/normalize.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { draws } from '../../src/random/draws.ts'
import {
  guessedMoments,
  normalizedPatches,
  patchErrors,
  patchesToImage,
  patchMoments,
  patchQuality,
  rebuiltPatches,
  type StatisticsUsed,
} from '../../src/target/patch-statistics.ts'
import { pixelLoss } from '../../src/target/pixels.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item, tensor, toArray, toFloats } from '../../src/tensor/tensor.ts'
import { planFromMask } from '../../src/token/mask.ts'
import { patchify } from '../../src/token/patchify.ts'

const [H, W] = [12, 20] as const
const patchSize = [2, 10] as const
const grid = { h: 6, w: 2 }
const hidden = Array.from({ length: 12 }, (_, n) => Number((n * 7) % 12 > 3)) // four visible
const channelStatistics = { mean: [0.48, 0.45, 0.4], std: [0.23, 0.22, 0.25] }

describe.each([1, 3])('an image of %i channels', (channels) => {
  const random = draws({ seed: 3, stream: 'test', epoch: 0, index: channels })
  const bytes = Uint8Array.from({ length: H * W * channels }, () => random.below(256))
  const prediction = Float32Array.from({ length: bytes.length }, () => random.normal())
  const statistics = {
    mean: channelStatistics.mean.slice(0, channels),
    std: channelStatistics.std.slice(0, channels),
  }
  const shape = { grid, patchSize, channels }
  const patches = normalizedPatches(bytes, shape, statistics)
  const masked = { patches, prediction, hidden, grid }

  /** The same by LibTorch, of a model that predicts `prediction`. */
  function byLibTorch(used: StatisticsUsed) {
    return scope(() => {
      const images = normalizePixels({ pixels: bytes, shape: [1, H, W, channels] }, statistics, 'cpu')
      const predicted = tensor(prediction, [1, 12, 20 * channels])
      const { images: rows } = reconstruct({
        objective: { predict: () => ({ latent: predicted, prediction: predicted }) },
        shape: plainBackbone({
          ...{ imageSize: [H, W], patchSize, channels, width: 16, depth: 1, heads: 2 },
          ...{ mlpRatio: 2, layerNormEpsilon: 1e-6 },
        }),
        ...{ weights: () => predicted, view: viewOf(images), channelStatistics: statistics },
        ...{ normalizeTarget: used !== 'raw', statistics: [used], plan: planFromMask([hidden]) },
      })
      return rows[0]!.rebuilt[0]!
    })
  }

  it('is cut and normalised as LibTorch does it', () => {
    const expected = scope(() => {
      const images = normalizePixels({ pixels: bytes, shape: [1, H, W, channels] }, statistics, 'cpu')
      return toFloats(patchify(images, patchSize))
    })
    for (const [i, value] of expected.entries()) expect(patches[i]).toBeCloseTo(value, 5)
  })

  it.each(['raw', 'neighbours', 'true'] as const)('is rebuilt as LibTorch does it: %s', (used) => {
    const { tile, quality } = byLibTorch(used)
    const whole = rebuiltPatches(masked, used)
    const mine = tileOf(patchesToImage(whole, shape, statistics), { channels, height: H, width: W })
    const furthest = Math.max(...mine.pixels.map((byte, i) => Math.abs(byte - tile.pixels[i]!)))
    expect(furthest).toBeLessThanOrEqual(1) // a value at the border of two bytes
    expect(mine.pixels.filter((byte, i) => byte !== tile.pixels[i]).length).toBeLessThan(3)
    const { psnr, ssim } = patchQuality(patches, whole, hidden, statistics)
    expect(psnr).toBeCloseTo(quality.psnr, 4)
    expect(ssim).toBeCloseTo(quality.ssim, 5)
  })

  it.each([true, false])('has errors whose mean is the loss, normalised: %s', (normalize) => {
    const loss = scope(() => {
      const images = normalizePixels({ pixels: bytes, shape: [1, H, W, channels] }, statistics, 'cpu')
      const plan = planFromMask([hidden])
      const order = Array.from(toArray(plan.hidden), Number)
      const width = 20 * channels
      const rows = order.flatMap((n) => [...prediction.subarray(n * width, (n + 1) * width)])
      const predicted = tensor(rows, [1, order.length, width])
      return item(pixelLoss(predicted, patchify(images, patchSize), plan.hidden, { normalize }))
    })
    const errors = patchErrors(masked, normalize)
    const counted = errors.filter((error) => !Number.isNaN(error))
    expect(counted).toHaveLength(8)
    expect(counted.reduce((a, b) => a + b, 0) / 8).toBeCloseTo(loss, 4)
    expect([...errors].map(Number.isNaN)).toEqual(hidden.map((h) => h === 0))
  })

  it('shows nothing of its hidden patches when statistics come from neighbours', () => {
    const other = patches.map((x, i) => (hidden[Math.floor(i / (20 * channels))] === 1 ? 9 - x : x))
    const rebuilt = rebuiltPatches({ ...masked, patches: other }, 'neighbours')
    expect([...rebuilt]).toEqual([...rebuiltPatches(masked, 'neighbours')])
  })
})

it('moments are those of the pixel target, by hand', () => {
  const { mean, deviation } = patchMoments(Float32Array.of(1, 3, 5, 5), 2)
  expect([...mean]).toEqual([2, 5])
  expect(deviation[0]).toBeCloseTo(Math.sqrt(2 + 1e-6), 6)
  expect(deviation[1]).toBeCloseTo(1e-3, 8)
})

it('one visible patch tells all others; none tells nothing', () => {
  const moments = { mean: Float32Array.of(1, 2, 3, 4), deviation: Float32Array.of(5, 6, 7, 8) }
  const alone = guessedMoments(moments, [1, 0, 1, 1], { h: 2, w: 2 })
  expect([[...alone.mean], [...alone.deviation]]).toEqual([
    [2, 2, 2, 2],
    [6, 6, 6, 6],
  ])
  const blind = guessedMoments(moments, [1, 1, 1, 1], { h: 2, w: 2 })
  expect([[...blind.mean], [...blind.deviation]]).toEqual([
    [0, 0, 0, 0],
    [1, 1, 1, 1],
  ])
})

it('a perfect copy has an infinite PSNR and an SSIM of one', () => {
  const patches = Float32Array.of(0.1, 0.5, 0.2, 0.9)
  const { psnr, ssim } = patchQuality(patches, patches, [1, 0], { mean: [0], std: [1] })
  expect(psnr).toBe(Number.POSITIVE_INFINITY)
  expect(ssim).toBeCloseTo(1, 12)
})
