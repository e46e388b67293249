import { describe, expect, it } from 'vitest'
import { hiddenQuality, meanQuality } from '../../src/target/reconstruction-quality.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'

function quality(
  truth: number[],
  rebuilt: number[],
  [B, N, width]: [number, number, number],
  { channels = 1, counted = truth.map(() => 1) }: { channels?: number; counted?: number[] } = {},
) {
  const of = (x: number[]) => tensor(x, [B, N, width / channels, channels])
  return scope(() => hiddenQuality(of(truth), of(rebuilt), of(counted)))
}

describe('hiddenQuality', () => {
  it('is perfect for a copy', () => {
    const x = [0.1, 0.9, 0.4, 0.3]
    expect(quality(x, x, [1, 1, 4])).toEqual([{ psnr: Number.POSITIVE_INFINITY, ssim: 1 }])
  })

  it('gives PSNR of each image on clipped values', () => {
    // Errors of 0.1 everywhere: 20 dB. Then 1 in one of four values, from clipping 5 to 1: -10 log10(1/4) dB.
    const [first, second] = quality(
      [0.5, 0.5, 0.5, 0.5, 0, 0, 1, 0],
      [0.6, 0.4, 0.6, 0.4, 0, -2, 1, 5],
      [2, 1, 4],
    )
    expect(first!.psnr).toBeCloseTo(20, 4)
    expect(second!.psnr).toBeCloseTo(6.0206, 4)
  })

  it('gives SSIM as Wang et al. 2004 define it', () => {
    // a: mean 0.5, variance 0.25. b: mean 0.5, variance 0.0625. Covariance 0.125.
    const [{ ssim } = { ssim: 0 }] = quality([0, 1, 0, 1], [0.25, 0.75, 0.25, 0.75], [1, 1, 4])
    expect(ssim).toBeCloseTo((2 * 0.125 + 0.0009) / (0.25 + 0.0625 + 0.0009), 5)
    // Opposite structure: covariance −0.25.
    const [opposite] = quality([0, 1, 0, 1], [1, 0, 1, 0], [1, 1, 4])
    expect(opposite!.ssim).toBeCloseTo((-0.5 + 0.0009) / (0.5 + 0.0009), 5)
    // Flat windows: only luminance counts.
    const [flat] = quality([0.2, 0.2, 0.2, 0.2], [0.6, 0.6, 0.6, 0.6], [1, 1, 4])
    expect(flat!.ssim).toBeCloseTo((2 * 0.12 + 0.0001) / (0.04 + 0.36 + 0.0001), 5)
  })

  it('takes SSIM in each patch and each channel alone', () => {
    // Two channels, last: the first is copied, the second inverted. Two patches: the second is copied whole.
    const truth = [0, 0, 1, 1, 0, 0, 1, 1]
    const rebuilt = [0, 1, 1, 0, 0, 1, 1, 0]
    const inverted = (-0.5 + 0.0009) / (0.5 + 0.0009)
    const [{ ssim } = { ssim: 0 }] = quality([...truth, ...truth], [...rebuilt, ...truth], [1, 2, 8], {
      channels: 2,
    })
    expect(ssim).toBeCloseTo((1 + inverted + 1 + 1) / 4, 5)
  })

  it('counts what is hidden alone, and whole windows for SSIM', () => {
    // Patch 0 is visible and far off, patch 1 is off by 0.1, patch 2 lacks data in one pixel, which is far off.
    const truth = [0, 0, 0.5, 0.5, 0.5, 0.5]
    const rebuilt = [1, 1, 0.6, 0.4, 0.6, 9]
    const [{ psnr, ssim } = { psnr: 0, ssim: 0 }] = quality(truth, rebuilt, [1, 3, 2], {
      counted: [0, 0, 1, 1, 1, 0],
    })
    expect(psnr).toBeCloseTo(20, 4)
    expect(ssim).toBeCloseTo(0.0009 / (0.01 + 0.0009), 5) // of patch 1: flat against ± 0.1 around the same mean
  })

  it('says NaN for a prediction that is', () => {
    const [{ psnr, ssim } = { psnr: 0, ssim: 0 }] = quality([0, 1, 0, 1], [0, Number.NaN, 0, 1], [1, 1, 4])
    expect([psnr, ssim]).toEqual([Number.NaN, Number.NaN])
  })
})

it('averages over images', () => {
  const mean = meanQuality([
    { psnr: 10, ssim: 0.2 },
    { psnr: 20, ssim: 0.6 },
  ])
  expect(mean.psnr).toBe(15)
  expect(mean.ssim).toBeCloseTo(0.4)
})
