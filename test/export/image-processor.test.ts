import { describe, expect, it } from 'vitest'
import { dimensionsOf, resolveConfig } from '../../src/config/resolve.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { huggingfaceProcessor, timmPreparation, unsaidPreparation } from '../../src/export/image-processor.ts'
import { preprocessingOf } from '../../src/import/preprocessing.ts'

const statistics = { mean: [0.1, 0.2, 0.3], std: [0.4, 0.5, 0.6] }
function model(data: ConfigInput['data'], imageSize: [number, number] = [32, 32]) {
  const config = resolveConfig({ data, model: { size: 'tiny', imageSize, patchSize: 8 } })
  return { config, dimensions: dimensionsOf(config), statistics }
}
type Model = ReturnType<typeof model>
const stored = { colours: 'stored' } as const

const throughHuggingface = (of: Model) =>
  preprocessingOf({ path: 'x', config: { model_type: 'vit' }, preprocessor: huggingfaceProcessor(of).config })
const throughTimm = (of: Model) => {
  const [height, width] = of.dimensions.imageSize
  const written = { input_size: [3, height, width], ...timmPreparation(of).config, ...statistics }
  return preprocessingOf({ path: 'x', config: { pretrained_cfg: written }, preprocessor: null })
}

describe('the processor of an export', () => {
  it.each<[string, ConfigInput['data'], [number, number]]>([
    ['squashes bilinearly, as ViT', { ...stored, resize: 'squash', interpolation: 'bilinear' }, [32, 64]],
    ['squashes bicubically, as SigLIP', { ...stored, resize: 'squash' }, [32, 32]],
    ['squashes and cuts, as DeiT', { ...stored, resize: 'squash', cropShare: 0.875 }, [56, 56]],
    ['cuts, as CLIP', { ...stored, resize: 'shortest' }, [32, 32]],
    ['cuts a share, as DINOv2', { ...stored, resize: 'shortest', cropShare: 0.875 }, [56, 56]],
    [
      'rounds nothing, as DINOv3',
      { ...stored, resize: 'squash', interpolation: 'bilinear', rounding: 'none' },
      [32, 64],
    ],
  ])('%s', (_, data, size) => {
    const of = model(data, size)
    const { notes, ...read } = throughHuggingface(of)
    expect(read.imageSize).toEqual(size)
    expect(read.statistics).toEqual(statistics)
    expect(resolveConfig({ data: read.data }).data).toEqual(resolveConfig({ data: data! }).data)
    expect(notes).toEqual([])
    const beside = { config: { model_type: 'vit' }, preprocessor: huggingfaceProcessor(of).config }
    expect(unsaidPreparation(of, beside)).toEqual({})
  })

  it("says sherd's own way beside the nearest one that transformers has", () => {
    const made = huggingfaceProcessor(model({}))
    expect(made.config).toMatchObject({
      ...{ image_processor_type: 'BitImageProcessor', size: { shortest_edge: 32 }, resample: 3 },
      ...{ do_center_crop: true, crop_size: { height: 32, width: 32 } },
    })
    expect(made.notes.join()).toMatch(/largest centred box alone.*over white/)
    const { sherd } = unsaidPreparation(model({}), { config: {}, preprocessor: made.config }) as {
      sherd: object
    }
    expect(sherd).toMatchObject({ preparation: { resize: 'box', colours: 'shown' } })
    const { data } = preprocessingOf({ path: 'x', config: { sherd }, preprocessor: made.config })
    expect(data.resize).toBe('box')
  })

  it.each<[RegExp, ConfigInput['data'], [number, number]]>([
    [/cuts 32 × 64 out of images by their shape/, {}, [32, 64]],
    [/cuts 32 × 64 out of images/, { resize: 'shortest' }, [32, 64]],
    [/fills images up/, { resize: 'longest' }, [32, 32]],
    [/without rounding and then cuts/, { resize: 'shortest', rounding: 'none' }, [32, 32]],
  ])('is refused where no class of transformers does it: %s', (why, data, size) =>
    expect(() => huggingfaceProcessor(model(data, size))).toThrow(why),
  )

  it.each<[ConfigInput['data'], [number, number]]>([
    [{ ...stored, resize: 'shortest', cropShare: 0.9, cutRule: 'even' }, [32, 64]],
    [{ ...stored, resize: 'squash', cutRule: 'even', interpolation: 'bilinear' }, [32, 32]],
    [{ ...stored, resize: 'longest', cutRule: 'even', fill: [26, 51, 77] }, [32, 32]], // 255 · 0.1 = 25.5, 76.5
  ])("is in timm's words: %j", (data, size) => {
    const of = model(data, size)
    const read = throughTimm(of)
    expect(resolveConfig({ data: read.data }).data).toEqual(of.config.data)
  })

  it('is refused for timm where it fills up with another colour', () =>
    expect(() => timmPreparation(model({ resize: 'longest' }))).toThrow(
      /with the mean \(26, 51, 77\).*data\.fill 0/,
    ))
})
