import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import type { Reconstructions } from '../../src/picture/reconstruction.ts'
import { drawReconstructions, reconstructionGrid } from '../../src/picture/reconstruction-grid.ts'
import type { StatisticsUsed } from '../../src/target/patch-statistics.ts'
import type { Quality } from '../../src/target/reconstruction-quality.ts'

const tile = { width: 8, height: 8, channels: 1 as const, pixels: new Uint8Array(64) }
const made = (
  qualities: Quality[],
  used: StatisticsUsed[],
  bands: string | null = null,
): Reconstructions => ({
  images: qualities.map((quality) => ({
    original: tile,
    masked: tile,
    rebuilt: used.map((statistics) => ({ statistics, tile, quality })),
  })),
  samples: qualities.length,
  hiddenShare: 147 / 196,
  bands,
})
const spaced = (text: string | undefined) => text?.replaceAll('\u00a0', ' ')

describe('reconstructionGrid', () => {
  it('says what every column is', () => {
    const qualities = [
      { psnr: 18, ssim: 0.4 },
      { psnr: 21, ssim: 0.6 },
    ]
    const { columns, rows, footer } = reconstructionGrid(
      made(qualities, ['neighbours', 'true'], 'bands 1–3 of 4 as RGB'),
      {
        step: 12000,
      },
    )
    expect(columns.map(({ title, subtitle }) => [title, spaced(subtitle)])).toEqual([
      ['original', 'bands 1–3 of 4 as RGB'],
      ['masked', '75 % hidden'],
      ['reconstruction', 'statistics: from visible neighbours'],
      ['reconstruction', 'statistics: true (leaks the answer)'],
    ])
    expect(columns.map(({ note }) => spaced(note))).toEqual([
      undefined,
      undefined,
      'PSNR 19.5 dB\nSSIM 0.500',
      'PSNR 19.5 dB\nSSIM 0.500',
    ])
    expect(footer).toBe('PSNR and SSIM: hidden patches only, mean of 2 images. Step 12,000.')
    expect(rows.map((row) => row.length)).toEqual([4, 4])
  })

  it('says raw pixels, one image, and numbers that are not finite', () => {
    const note = (quality: Quality) => {
      const { columns, footer } = reconstructionGrid(made([quality], ['raw']))
      expect(columns[2]!.subtitle).toBe('raw pixels')
      expect(footer).toBe('PSNR and SSIM: hidden patches only.')
      return spaced(columns[2]!.note)
    }
    expect(note({ psnr: Number.POSITIVE_INFINITY, ssim: 1 })).toBe('PSNR ∞ dB\nSSIM 1.000')
    expect(note({ psnr: Number.NaN, ssim: Number.NaN })).toBe('PSNR not finite\nSSIM not finite')
  })
})

it('draws a PNG', async () => {
  const png = await drawReconstructions(made([{ psnr: 18, ssim: 0.4 }], ['neighbours', 'true']), {
    title: 'x',
    step: 1,
  })
  const { format, width, height } = await sharp(png).metadata()
  expect(format).toBe('png')
  expect(width).toBe(2 * 20 + 4 * 112 + 3 * 12)
  expect(height).toBeGreaterThan(200)
})
