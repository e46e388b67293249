import { describe, expect, it } from 'vitest'
import { statisticsOf } from '../../src/import/preprocessing.ts'

const read = (json: object) => statisticsOf(json, 'preprocessor_config.json')
const three = (value: number) => [value, value, value]
const half = { image_mean: three(0.5), image_std: three(0.25) }

describe('what an image processor of transformers does to a pixel', () => {
  it.each<[string, object, number, number]>([
    ['scales to 1 and normalises', half, 0.5, 0.25],
    ['says so', { ...half, do_normalize: true, do_rescale: true, rescale_factor: 1 / 255 }, 0.5, 0.25],
    ['scales only', { ...half, do_normalize: false }, 0, 1],
    // x / 127.5 − 1 = (x / 255 − 0.5) / 0.5
    ['scales to 2', { image_mean: three(1), image_std: three(1), rescale_factor: 1 / 127.5 }, 0.5, 0.5],
    // (x − 51) / 102 = (x / 255 − 0.2) / 0.4
    ['does not scale', { image_mean: three(51), image_std: three(102), do_rescale: false }, 0.2, 0.4],
    ['does nothing', { do_rescale: false, do_normalize: false }, 0, 1 / 255],
    ['has one number for all channels', { image_mean: 0.5, image_std: 0.25 }, 0.5, 0.25],
    ["is ViT's, which takes a half", { image_processor_type: 'ViTImageProcessorFast' }, 0.5, 0.5],
    ["was ViT's", { feature_extractor_type: 'ViTFeatureExtractor', image_std: three(0.1) }, 0.5, 0.1],
  ])('%s', (_, json, mean, std) => {
    const found = read(json)!
    for (const value of found.mean) expect(value).toBeCloseTo(mean, 12)
    for (const value of found.std) expect(value).toBeCloseTo(std, 12)
    expect([found.mean.length, found.std.length]).toEqual([3, 3])
  })

  it('is not guessed where nothing says it', () => {
    expect(read({ size: 32 })).toBeNull()
    expect(read({ image_processor_type: 'CLIPImageProcessor' })).toBeNull()
  })

  it('is refused where it is something else', () => {
    expect(() => read({ ...half, do_flip_channel_order: true })).toThrow(
      /do_flip_channel_order is not done here/,
    )
    expect(() => read({ ...half, rescale_offset: true })).toThrow(/rescale_offset is not done here/)
    expect(() => read({ ...half, image_std: [0.5, 0, 0.5] })).toThrow(/divides images by 0\.5, 0, 0\.5/)
    expect(() => read({ ...half, rescale_factor: 0 })).toThrow(/rescale_factor/)
    expect(() => read({ mean: three(0.5), std: three(-1) })).toThrow(/divides images by -1/)
  })
})
