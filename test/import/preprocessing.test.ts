import { describe, expect, it } from 'vitest'
import { preprocessingOf, shareOf, statisticsOf } from '../../src/import/preprocessing.ts'
import { scaledSide } from '../../src/prepare/fit.ts'

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

describe('how images are prepared for a model of another program', () => {
  const prepared = (preprocessor: object | null, config: object | null = null, family?: string) =>
    preprocessingOf({ path: 'x', config: config as never, preprocessor: preprocessor as never }, family)
  const type = (name: string) => ({ image_processor_type: `${name}ImageProcessor` })

  // The sizes that the processors of transformers 5.24 make.
  it.each<[string, object, object, [number, number] | null]>([
    ['CLIP', type('CLIP'), { resize: 'shortest', cropShare: 1, interpolation: 'bicubic' }, null],
    [
      'an old CLIP with plain numbers',
      { feature_extractor_type: 'CLIPFeatureExtractor', size: 336, crop_size: 336, do_center_crop: true },
      { resize: 'shortest', cropShare: 1, interpolation: 'bicubic' },
      [336, 336],
    ],
    [
      'DINOv2',
      { ...type('Bit'), size: { shortest_edge: 256 }, crop_size: { height: 224, width: 224 }, resample: 3 },
      { resize: 'shortest', cropShare: 0.875, cutRule: 'before', colours: 'stored' },
      [224, 224],
    ],
    [
      'DeiT, which squashes before it cuts',
      type('DeiT'),
      { resize: 'squash', cropShare: 0.875, interpolation: 'bicubic' },
      null,
    ],
    [
      'an old ViT with a plain number',
      { ...type('ViT'), size: 384 },
      { resize: 'squash', interpolation: 'bilinear' },
      [384, 384],
    ],
    [
      'SigLIP, not square',
      { ...type('Siglip'), size: { height: 32, width: 64 } },
      { resize: 'squash' },
      [32, 64],
    ],
    ['DINOv3', type('DINOv3ViT'), { resize: 'squash', rounding: 'none', interpolation: 'bilinear' }, null],
  ])('as %s does it', (_, json, data, size) => {
    const made = prepared(json)
    expect(made.data).toMatchObject(data)
    expect(made.imageSize).toEqual(size)
  })

  it('as the processor of its type does it, where the file names none', () => {
    expect(prepared({ size: 224 }, { model_type: 'vit' }).data.interpolation).toBe('bilinear')
    expect(() => prepared({ size: 224 }, { model_type: 'swin' })).toThrow(
      /does not name \(image_processor_type\) is not done here/,
    )
  })

  it('is refused by name where it is not done here', () => {
    const refused = (json: object) => () => prepared(json)
    expect(refused(type('ConvNext'))).toThrow(
      /the processor ConvNextImageProcessor is not done here.*--set data\.mean/,
    )
    expect(refused({ ...type('ViT'), do_pad: true })).toThrow(/do_pad is not done here/)
    expect(refused({ ...type('ViT'), do_resize: false })).toThrow(/do_resize false/)
    expect(refused({ ...type('ViT'), resample: 1 })).toThrow(/resampling "1" is not done here/)
    expect(refused({ ...type('Bit'), size: { longest_edge: 224 } })).toThrow(
      /resizing to \{"longest_edge":224\}/,
    )
    expect(refused({ ...type('Bit'), do_center_crop: false })).toThrow(/shorter side to 224 without a crop/)
    expect(refused({ ...type('Bit'), crop_size: { height: 32, width: 64 } })).toThrow(
      /cutting 32 × 64 out of/,
    )
  })

  it('cuts what a share of whole numbers gives, whatever its quotient is rounded to', () => {
    for (let side = 1; side < 600; side += 7)
      for (let resized = side; resized < 700; resized += 3)
        expect(scaledSide(side, shareOf(side, resized))).toBe(resized)
  })

  it('as timm does it', () => {
    const of = (given: object) =>
      prepared(null, {
        architecture: 'x',
        pretrained_cfg: { ...{ mean: [0.5, 0.5, 0.5], std: [1, 1, 1] }, ...given },
      })
    expect(of({ input_size: [3, 224, 192], crop_pct: 0.9, interpolation: 'bilinear' })).toEqual({
      statistics: { mean: [0.5, 0.5, 0.5], std: [1, 1, 1] },
      data: {
        resize: 'shortest',
        cropShare: 0.9,
        cutRule: 'even',
        interpolation: 'bilinear',
        colours: 'stored',
      },
      ...{ imageSize: null, notes: [] },
    })
    expect(of({}).data).toMatchObject({ cropShare: 0.875, interpolation: 'bicubic' }) // timm's defaults
    expect(of({ crop_mode: 'squash' }).data.resize).toBe('squash')
    expect(of({ crop_mode: 'border' }).data).toMatchObject({ resize: 'longest', fill: [128, 128, 128] })
    expect(() => of({ crop_mode: 'tiles' })).toThrow(/crop_mode "tiles" is not done here/)
    expect(() => of({ interpolation: 'lanczos' })).toThrow(/resampling "lanczos" is not done here/)
  })

  it('as OpenCLIP does it', () => {
    const of = (preprocess_cfg: object) =>
      preprocessingOf({ path: 'x', config: null, preprocessor: null, openClip: { preprocess_cfg } })
    expect(of({}).data).toMatchObject({
      resize: 'shortest',
      cropShare: 1,
      cutRule: 'even',
      interpolation: 'bicubic',
    })
    expect(of({}).statistics!.mean[0]).toBe(0.48145466)
    expect(of({ resize_mode: 'longest', fill_color: 7 }).data).toMatchObject({
      resize: 'longest',
      fill: [7, 7, 7],
    })
  })

  it('as the authors of a family do it, where nothing says it, with a note', () => {
    const { data, statistics, notes } = prepared(null, null, 'dinov2')
    expect(data).toMatchObject({ resize: 'shortest', cropShare: 0.875 })
    expect(statistics!.std).toEqual([0.229, 0.224, 0.225])
    expect(notes).toEqual([
      expect.stringMatching(/taken as the authors of dinov2 evaluate, shortest 0\.875, bicubic, mean 0\.485/),
    ])
    expect(prepared(null, null, 'vit')).toEqual({ statistics: null, data: {}, imageSize: null, notes: [] })
  })
})
