import { describe, expect, it } from 'vitest'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import type { EncoderDimensions } from '../../src/model/dimensions.ts'
import { initialParameters, weightsOf } from '../../src/model/parameters.ts'
import { mae } from '../../src/objective/mae.ts'
import { type Reconstructions, reconstruct } from '../../src/picture/reconstruction.ts'
import { normalizePixels } from '../../src/prepare/normalize.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { draws } from '../../src/random/draws.ts'
import type { StatisticsUsed } from '../../src/target/patch-statistics.ts'
import { predictPixels } from '../../src/target/pixel-target.ts'
import { pixelTarget } from '../../src/target/pixels.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { planFromMask } from '../../src/token/mask.ts'
import { patchify } from '../../src/token/patchify.ts'

const [B, H, W, P] = [2, 12, 20, 4] as const
// 3 × 5 patches, five of them visible; another five in each image.
const masks = [0, 2].map((shift) => Array.from({ length: 15 }, (_, n) => (n + shift) % 3 > 0))
const statistics = { mean: [0.48, 0.45, 0.4, 0.5, 0.3], std: [0.23, 0.22, 0.25, 0.2, 0.1] }

const dimensions = (channels: number): EncoderDimensions => ({
  imageSize: [H, W],
  patchSize: [P, P],
  channels,
  width: 16,
  depth: 1,
  heads: 2,
  mlpRatio: 2,
  layerNormEpsilon: 1e-6,
})

const bytes = (channels: number) => {
  const { below } = draws({ seed: 5, stream: 'pixels', epoch: 0, index: channels })
  return Uint8Array.from({ length: B * H * W * channels }, () => below(256))
}

/** Which image, patch and channel a byte [B, H, W, C] belongs to. */
const placeOf = (i: number, C: number) => {
  const [x, y, b] = [Math.floor(i / C) % W, Math.floor(i / C / W) % H, Math.floor(i / C / W / H)]
  return { b, hidden: masks[b]![Math.floor(y / P) * (W / P) + Math.floor(x / P)]! }
}

interface Case {
  channels?: number
  normalizeTarget?: boolean
  pixels?: Uint8Array
  wanted?: StatisticsUsed[]
  /** Predicts the target itself instead of running the model. */
  oracle?: boolean
}

function run({ channels = 3, normalizeTarget = true, pixels = bytes(channels), wanted, oracle }: Case = {}) {
  const d = dimensions(channels)
  return scope(() => {
    const objective = mae({
      dimensions: d,
      decoder: { width: 16, depth: 1, heads: 2 },
      ...{ maskRatio: 0.67, target: predictPixels({ normalize: normalizeTarget }), device: 'cpu' },
    })
    const parameters = initialParameters(objective.rows, { seed: 1, device: 'cpu' })
    const channelStatistics = {
      mean: statistics.mean.slice(0, channels),
      std: statistics.std.slice(0, channels),
    }
    const images = normalizePixels({ pixels, shape: [B, H, W, channels] }, channelStatistics, 'cpu')
    const perfect = pixelTarget(patchify(images, P), { normalize: normalizeTarget })
    const result = reconstruct({
      objective: oracle ? { predict: () => ({ latent: perfect, prediction: perfect }) } : objective,
      shape: plainBackbone(d),
      normalizeTarget,
      weights: weightsOf(parameters),
      view: viewOf(images),
      plan: planFromMask(masks),
      channelStatistics,
      ...(wanted && { statistics: wanted }),
    })
    for (const parameter of parameters.values()) parameter.dispose()
    return result
  })
}

const variant = ({ images }: Reconstructions, wanted: StatisticsUsed) =>
  images.map(({ rebuilt }) => rebuilt.find((r) => r.statistics === wanted)!)
const pixelsOf = (tiles: readonly { pixels: Uint8Array }[]) => tiles.flatMap(({ pixels }) => [...pixels])

describe('reconstruct', () => {
  it('gives the original back to the byte', () => {
    for (const channels of [1, 3]) {
      const { images } = run({ channels })
      expect(pixelsOf(images.map((i) => i.original))).toEqual([...bytes(channels)])
    }
  })

  it('hides what is hidden and pastes what is visible', () => {
    const result = run()
    const original = [...bytes(3)]
    const masked = pixelsOf(result.images.map((i) => i.masked))
    const rebuilt = pixelsOf(variant(result, 'neighbours').map((r) => r.tile))
    let changed = 0
    for (const [i, byte] of original.entries()) {
      const { hidden } = placeOf(i, 3)
      expect(masked[i]).toBe(hidden ? 209 : byte)
      if (hidden) changed += Number(rebuilt[i] !== byte)
      else expect(rebuilt[i]).toBe(byte)
    }
    expect(changed).toBeGreaterThan(0.9 * ((original.length * 2) / 3))
    expect(result.hiddenShare).toBeCloseTo(2 / 3)
  })

  it('shows neighbours and true for normalised targets, raw for raw ones', () => {
    const shown = (c: Case) => run(c).images[0]!.rebuilt.map((r) => r.statistics)
    expect(shown({})).toEqual(['neighbours', 'true'])
    expect(shown({ normalizeTarget: false })).toEqual(['raw'])
    expect(shown({ wanted: ['neighbours'] })).toEqual(['neighbours'])
    expect(() => shown({ wanted: ['raw'] })).toThrow(/predicts no raw pixels/)
    expect(() => shown({ normalizeTarget: false, wanted: ['true'] })).toThrow(/needs no "true" statistics/)
  })

  it('takes nothing from hidden pixels but with true statistics', () => {
    const before = run()
    const changed = bytes(3).map((byte, i) => (placeOf(i, 3).hidden ? (byte * 7 + 31) >> 2 : byte))
    const after = run({ pixels: changed })
    const tiles = (r: Reconstructions, s: StatisticsUsed) => pixelsOf(variant(r, s).map(({ tile }) => tile))
    expect(pixelsOf(after.images.map((i) => i.original))).not.toEqual(
      pixelsOf(before.images.map((i) => i.original)),
    )
    expect(tiles(after, 'neighbours')).toEqual(tiles(before, 'neighbours'))
    expect(tiles(after, 'true')).not.toEqual(tiles(before, 'true'))
    const raw = (pixels: Uint8Array) => tiles(run({ pixels, normalizeTarget: false }), 'raw')
    expect(raw(changed)).toEqual(raw(bytes(3)))
  })

  it('turns a perfect prediction into the original, with true statistics or raw pixels', () => {
    for (const [normalizeTarget, wanted] of [
      [true, 'true'],
      [false, 'raw'],
    ] as const) {
      const perfect = variant(run({ oracle: true, normalizeTarget }), wanted)
      expect(pixelsOf(perfect.map(({ tile }) => tile))).toEqual([...bytes(3)])
      for (const { quality } of perfect) {
        expect(quality.psnr).toBeGreaterThan(100)
        expect(quality.ssim).toBeCloseTo(1, 5)
      }
    }
    // With guessed statistics even a perfect prediction is not the original.
    const [guessed] = variant(run({ oracle: true }), 'neighbours')
    expect(guessed!.quality.psnr).toBeLessThan(40)
  })

  it('measures hidden patches only', () => {
    const result = run()
    const original = bytes(3)
    for (const [b, { tile, quality }] of variant(result, 'true').entries()) {
      const size = H * W * 3
      let [sum, count] = [0, 0]
      for (const [i, byte] of tile.pixels.entries()) {
        if (!placeOf(b * size + i, 3).hidden) continue
        sum += ((byte - original[b * size + i]!) / 255) ** 2
        count++
      }
      expect(Math.abs(quality.psnr + 10 * Math.log10(sum / count))).toBeLessThan(0.05) // bytes are rounded
    }
  })

  it('says which bands it shows', () => {
    expect([1, 2, 3, 5].map((channels) => run({ channels }).bands)).toEqual([
      null,
      'band 1 of 2',
      null,
      'bands 1–3 of 5 as RGB',
    ])
    const first = run({ channels: 5 }).images[0]!.original
    expect([...first.pixels.subarray(0, 6)]).toEqual([0, 1, 2, 5, 6, 7].map((i) => bytes(5)[i]))
  })

  it('leaks no tensors', () => {
    run()
    const before = liveTensors()
    run()
    run({ normalizeTarget: false })
    expect(liveTensors() - before).toBe(0)
  })

  it('refuses statistics of other channels and a plan of another grid', () => {
    const d = dimensions(3)
    scope(() => {
      const images = normalizePixels(
        { pixels: bytes(3), shape: [B, H, W, 3] },
        { mean: [0, 0, 0], std: [1, 1, 1] },
        'cpu',
      )
      const prediction = patchify(images, P)
      const options = {
        objective: { predict: () => ({ latent: prediction, prediction }) },
        shape: plainBackbone(d),
        normalizeTarget: true,
        weights: weightsOf(new Map()),
        view: viewOf(images),
        plan: planFromMask(masks),
        channelStatistics: { mean: [0, 0, 0], std: [1, 1, 1] },
      }
      const one = { ...options, channelStatistics: { mean: [0.5], std: [0.5] } }
      expect(() => reconstruct(one)).toThrow(/1 means and 1 deviations do not fit images of 3 channels/)
      const plan = planFromMask(masks.map((row) => row.slice(0, 9)))
      expect(() => reconstruct({ ...options, plan })).toThrow(/plan.restore: expected \[2, 15\], got/)
    })
  })
})
