// Every published encoder through both other libraries' layouts and back: the class that it belongs to, and the same bytes.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readArrays, writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { weightsMetadata } from '../../src/checkpoint/weights-metadata.ts'
import { exportHuggingface } from '../../src/export/export-huggingface.ts'
import { exportTimm } from '../../src/export/export-timm.ts'
import { importWeights } from '../../src/import/import.ts'
import { packageRoot } from '../../src/package-root.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { tinyConfig } from '../run/tiny.ts'

const folder = join(packageRoot(), '../shared/reference/layouts')
const work = mkdtempSync(join(tmpdir(), 'sherd-published-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

const epsilon =
  /^timm's layer norms add 0\.000001, this model's 1e-12.* tokens of random images would differ by up to \d/
const rounded = /no base, .* number 2 of 4 is 3\.15625, and transformers and timm compute 3\.162278\./
const vision = 'VisionTransformer'

type Result = string | RegExp
interface Expected {
  /** The class, or why there is none. */
  readonly transformers: Result
  readonly timm: Result
  /** Whose folder comes back as the bytes that were read from the first one. */
  readonly same?: readonly ('transformers' | 'timm')[]
}
const of = (transformers: Result, timm: Result = vision, same: Expected['same'] = []): Expected => ({
  ...{ transformers, timm, same },
})
const both = ['transformers', 'timm'] as const

const published: Readonly<Record<string, Expected>> = {
  vit: of('ViTModel', epsilon, ['transformers']),
  'vit-classifier': of('ViTForImageClassification', epsilon, ['transformers']),
  'vit-mae-encoder': of('ViTModel', epsilon),
  'vit-mae-pretraining': of('ViTMAEForPreTraining', epsilon, ['transformers']),
  'vit-mae-pretraining-4': of('ViTMAEForPreTraining', epsilon, ['transformers']),
  'vit-msn': of('ViTModel', vision, ['transformers']),
  beit: of('BeitModel', epsilon, ['transformers']),
  'beit-pretraining': of('BeitModel', epsilon, ['transformers']),
  'data2vec-vision': of('BeitModel', epsilon),
  dinov2: of('Dinov2Model', vision, ['transformers']),
  'dinov2-swiglu': of('Dinov2Model', vision, ['transformers']),
  'dinov2-registers': of('Dinov2WithRegistersModel', vision, both),
  dinov3: of('DINOv3ViTModel', 'Eva', both),
  'dinov3-gated': of('DINOv3ViTModel', 'Eva', both),
  ijepa: of('IJepaModel', vision, ['transformers']),
  clip: of('CLIPVisionModelWithProjection', vision, ['transformers']),
  'clip-vision': of('CLIPVisionModelWithProjection', vision, ['transformers']),
  siglip: of('SiglipVisionModel', vision, ['transformers']),
  'siglip-vision': of('SiglipVisionModel', vision, ['transformers']),
  'siglip-vision-4': of('SiglipVisionModel', vision, ['transformers']),
  'siglip2-naflex': of('Siglip2VisionModel', /does not take: images that keep their shape/, ['transformers']),
  'timm-vit-classifier': of('ViTForImageClassification', vision, ['timm']),
  'timm-vit-dino': of('ViTModel', vision, ['timm']),
  'timm-vit-mae': of('ViTModel', vision, ['timm']),
  'timm-dinov2': of('Dinov2Model', vision, ['timm']),
  'timm-dinov2-registers': of('Dinov2WithRegistersModel', vision, both),
  'timm-dinov2-swiglu': of(/whole number \(mlp_ratio\)/, vision, ['timm']),
  'timm-dinov3': of('DINOv3ViTModel', 'Eva', ['timm']),
  'timm-dinov3-qkvb': of('DINOv3ViTModel', 'Eva', both),
  'timm-dinov3-swiglu': of('DINOv3ViTModel', 'Eva', ['timm']),
  'timm-beit': of('BeitModel', 'Beit', ['timm']),
  'timm-beitv2': of(/no square with its sides exchanged/, 'Beit', ['timm']),
  'timm-clip': of('CLIPVisionModel', vision, ['timm']),
  'timm-clip-quickgelu': of(/ViTModel, does not take: no bias of patches, a norm before/, vision, ['timm']),
  'timm-siglip': of('SiglipVisionModel', vision, ['timm']),
  'timm-siglip-tanh': of('SiglipVisionModel', vision, ['timm']),
  'timm-siglip-gap': of('IJepaModel', vision, ['timm']),
  openclip: of('CLIPVisionModelWithProjection'),
  'openclip-quickgelu': of('CLIPVisionModelWithProjection'),
  'dino-pth': of('ViTModel'),
  'dino-pth-training': of('ViTModel'),
  'ibot-pth': of('ViTModel'),
  'ibot-pth-training': of('ViTModel'),
  'dinov2-pth': of('Dinov2Model'),
  'dinov2-pth-registers-swiglu': of('Dinov2WithRegistersModel', vision, both),
  'dinov2-pth-training': of('Dinov2Model'),
  'dinov3-pth': of(rounded, rounded),
  'dinov3-pth-swiglu': of(rounded, rounded),
}
const heads: Readonly<Record<string, number>> = { 'dinov3-pth': 2, 'dinov3-pth-swiglu': 2 }

const writers = {
  transformers: (model: string, out: string) => exportHuggingface({ model, out, onnx: [] }),
  timm: (model: string, out: string) => exportTimm({ model, out }),
}
const bytesOf = (...path: string[]) => readFileSync(join(...path))

describe.each(Object.entries(published))('%s', (name, expected) => {
  it('is written as what it is, and again as the same bytes', async () => {
    const dir = join(folder, name)
    const pth = readdirSync(dir).find((file) => file.endsWith('.pth'))
    const first = await importWeights({
      ...{ from: join(dir, pth ?? ''), out: join(work, `${name}.safetensors`) },
      statistics: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
      ...(pth && { set: [`model.heads=${heads[name] ?? 4}`] }),
    })
    for (const library of both) {
      const [out, again] = ['', '-again'].map((end) => join(work, `${name}-${library}${end}`)) as [
        string,
        string,
      ]
      const wanted = expected[library]
      const writing = writers[library](first.path, out)
      if (typeof wanted !== 'string') {
        await expect(writing).rejects.toThrow(wanted)
        continue
      }
      expect((await writing).architecture).toBe(wanted)
      const back = await importWeights({ from: out, out: `${out}.safetensors` })
      const isSame = readFileSync(back.path).equals(readFileSync(first.path))
      if (expected.same?.includes(library)) expect(isSame, `${library}, read again`).toBe(true)
      await writers[library](back.path, again)
      // The card says how a model differs from the one that it was made of.
      const files = readdirSync(out).filter((file) => file !== 'README.md')
      expect(readdirSync(again)).toEqual(readdirSync(out))
      expect(files.filter((file) => !bytesOf(again, file).equals(bytesOf(out, file)))).toEqual([])
    }
  })
})

it.each(['clip', 'siglip-vision'])(
  '%s has the names that transformers 4 wants, and 5 takes',
  async (name) => {
    const out = join(work, `${name} for both`)
    await exportHuggingface({ model: join(folder, name), out, onnx: [] })
    const names = [...readArrays(join(out, 'model.safetensors')).tensors.keys()]
    expect(names.filter((each) => !each.startsWith('vision_model.'))).toEqual(
      name === 'clip' ? ['visual_projection.weight'] : [],
    )
  },
)

it('a DINOv3 of authors whose periods are not rounded is written for both', async () => {
  const dir = join(folder, 'dinov3-pth')
  const from = join(dir, readdirSync(dir).find((file) => file.endsWith('.pth'))!)
  const rotaryPeriods = [0, 1, 2, 3].map((k) => 100 ** (k / 4)) // of 16 numbers a head
  const { path } = await importWeights({
    ...{ from, out: join(work, 'exact.safetensors') },
    statistics: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
    set: ['model.heads=2', `model.rotaryPeriods=${JSON.stringify(rotaryPeriods)}`],
  })
  for (const library of both) {
    await writers[library](path, join(work, `exact-${library}`))
    const back = await importWeights({
      from: join(work, `exact-${library}`),
      out: join(work, 'exact-again.safetensors'),
    })
    expect(back.config.model).toMatchObject({ rotaryPeriods })
  }
})

it('a DINOv3 without registers is written with none of them, and read again', async () => {
  const rotaryPeriods = [0, 1, 2, 3].map((k) => 100 ** (k / 4)) // of 16 numbers a head
  const options = { positions: 'none', qkvBias: 'none', layerScale: 1, rotaryPeriods } as const
  const config = tinyConfig({ model: { ...options, layerNormEpsilon: 1e-5 } })
  const { parameters, statistics } = await openEncoder({ model: 'random', config, device: 'cpu' })
  const [path, out] = [join(work, 'bare.safetensors'), join(work, 'bare')]
  writeSafetensors(path, parameters, weightsMetadata({ config, statistics }))
  expect((await exportHuggingface({ model: path, out, onnx: ['fp32'] })).architecture).toBe('DINOv3ViTModel')
  expect(readArrays(join(out, 'model.safetensors')).tensors.get('embeddings.register_tokens')!.shape).toEqual(
    [1, 0, 32],
  )
  const again = await importWeights({ from: out, out: `${out}-again.safetensors` })
  expect(again.config.model).toMatchObject({ registers: 0, rotaryPeriods })
})
