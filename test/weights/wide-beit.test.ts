// A BEiT of transformers whose grid is no square: its tables are read with their sides exchanged, as transformers 5.24 does.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readArrays } from '../../src/checkpoint/safetensors.ts'
import { exportHuggingface } from '../../src/export/export-huggingface.ts'
import { exportTimm } from '../../src/export/export-timm.ts'
import { importWeights } from '../../src/import/import.ts'
import { openBackbone } from '../../src/model/backbone.ts'
import { backboneAt } from '../../src/model/backbone-shape.ts'
import { featureReader } from '../../src/model/features.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { packageRoot } from '../../src/package-root.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { encodeImages } from '../../src/weights/frozen-encoder.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { expectClose, numbers } from '../tolerance.ts'

const square = join(packageRoot(), '../shared/reference/layouts/beit') // tables of 7 × 7 offsets and three more
const work = mkdtempSync(join(tmpdir(), 'sherd-wide-beit-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

const configOf = (folder: string) => JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))
const [wide, written] = [join(work, 'wide'), join(work, 'written')]
mkdirSync(wide)
cpSync(join(square, 'model.safetensors'), join(wide, 'model.safetensors'))
// 1 × 25 patches have 1 · 49 offsets.
writeFileSync(join(wide, 'config.json'), JSON.stringify({ ...configOf(square), image_size: [8, 200] }))

describe('a BEiT of 1 × 25 patches', () => {
  it.each([
    // The first numbers of `pooler_output` of transformers 5.24 for sin(0.37 i).
    [8, 200, [-0.65451, 1.68203, -0.77358, 1.1798, -0.5735, 0.637, -0.10153, -2.85658]],
    [24, 32, [-1.83121, 0.49402, -0.77228, 0.95748, -1.56048, 0.54962, 0.29189, -2.95692]],
  ])('gives for %d × %d pixels what transformers gives', async (h, w, expected) => {
    const encoder = await openEncoder({ model: wide, device: 'cpu' })
    expect(encoder.config.model).toMatchObject({ imageSize: [8, 200], positionGrid: [25, 1] })
    const shape = backboneAt(encoder.shape, [h, w])
    const values = noGrad(() =>
      scope(() => {
        const pixels = tensor(
          Array.from({ length: 3 * h * w }, (_, i) => Math.sin(i * Math.fround(0.37))),
          [1, 3, h, w],
        )
        const encoded = encodeImages(encoder, openBackbone(shape, 'cpu'), viewOf(pixels))
        const { read } = featureReader({ shape, norm: 'fc_norm' }, ['mean'])
        return numbers(read(encoded, weightsOf(encoder.parameters))[0]!)
      }),
    )
    expectClose(values.slice(0, 8), expected, 5e-5)
  })

  it('is written for transformers as it was read', async () => {
    await exportHuggingface({ model: wide, out: written, onnx: [], withoutProcessor: true })
    expect(configOf(written).image_size).toEqual([8, 200])
    const name = 'encoder.layer.0.attention.attention.relative_position_bias.relative_position_bias_table'
    const [before, after] = [wide, written].map(
      (folder) => readArrays(join(folder, 'model.safetensors')).tensors.get(name)!.data,
    )
    expect(after).toEqual(before)
  })
})

describe('tables of another grid than the images', () => {
  const sized = async (from: string, size: string) =>
    (await importWeights({ from, out: join(work, `${size}.safetensors`), set: [`model.imageSize=${size}`] }))
      .path
  const tableIn = (folder: string, name: string) =>
    readArrays(join(folder, 'model.safetensors')).tensors.get(name)!

  it('stay a square for transformers, which resamples them in the same way', async () => {
    const out = join(work, 'square')
    await exportHuggingface({ model: await sized(square, '[40,24]'), out, onnx: [] })
    expect(configOf(out).image_size).toBe(32)
  })

  it('are made for the size of the images for timm', async () => {
    const out = join(work, 'timm')
    const model = await sized(join(square, '../timm-beit'), '[40,24]')
    await exportTimm({ model, out })
    expect(configOf(out).model_args.img_size).toEqual([40, 24])
    expect(tableIn(out, 'blocks.0.attn.relative_position_bias_table').shape).toEqual([9 * 5 + 3, 4])
    await expect(exportHuggingface({ model, out: join(work, 'none'), onnx: [] })).rejects.toThrow(
      /no square with its sides exchanged/,
    )
  })
})
