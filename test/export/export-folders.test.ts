import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readArrays } from '../../src/checkpoint/safetensors.ts'
import { exportHuggingface } from '../../src/export/export-huggingface.ts'
import { exportTimm } from '../../src/export/export-timm.ts'
import { type ImportOptions, importWeights } from '../../src/import/import.ts'
import { classifierRows } from '../../src/model/classifier.ts'
import { initialParameters } from '../../src/model/parameters.ts'
import { packageRoot } from '../../src/package-root.ts'
import { saveClassifier } from '../../src/weights/open-classifier.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { run, sampleFolder, tinyConfig, workFolder } from '../run/tiny.ts'

const fixtures = join(packageRoot(), 'test/fixtures/weights')
const work = mkdtempSync(join(tmpdir(), 'sherd-export-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

let count = 0
const place = (name = '') => join(work, `${count++}${name}`)
const bring = (from: string, options: Partial<ImportOptions> = {}) =>
  importWeights({ from: join(fixtures, from), out: place('.safetensors'), ...options })
const jsonOf = (...path: string[]) =>
  JSON.parse(readFileSync(join(...path), 'utf8')) as Record<string, unknown>

/** A tiny classifier of two classes whose head reads the mean, and its arrays. */
async function meanClassifier(head: 'mean' | 'normed-mean') {
  const encoder = await openEncoder({ model: 'random', config: tinyConfig(), device: 'cpu', seed: 1 })
  const shape = { backbone: encoder.shape, classes: 2, head }
  const parameters = initialParameters(classifierRows(shape), { seed: 3, device: 'cpu' })
  const model = place('.safetensors')
  saveClassifier(model, encoder, {
    parameters,
    head,
    classes: ['ant', 'bee'],
    protocol: 'finetune',
    step: null,
  })
  return { model, arrays: readArrays(model).tensors }
}

const sorted = (path: string) =>
  [...readArrays(path).tensors]
    .map(([name, { shape, data }]) => ({ name, shape, data: Float32Array.from(data as Float32Array) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))

describe('a folder for transformers', () => {
  it('of an imported ViTMAE is what was imported: tensors and configuration', async () => {
    const { path } = await bring('huggingface-mae')
    const out = place()
    expect(await exportHuggingface({ model: path, out, onnx: [] })).toMatchObject({
      ...{ task: 'pretraining', architecture: 'ViTMAEForPreTraining' },
      files: ['model.safetensors', 'README.md', 'preprocessor_config.json', 'config.json'].map((name) =>
        join(out, name),
      ),
    })
    const [made, was] = [out, join(fixtures, 'huggingface-mae')].map((dir) =>
      sorted(join(dir, 'model.safetensors')),
    )
    expect(made!.map(({ name, shape }) => ({ name, shape }))).toEqual(
      was!.map(({ name, shape }) => ({ name, shape })),
    )
    for (const [i, { name, data }] of was!.entries()) {
      // Tables are computed again, the last digit of a sine may differ.
      const isTable = name.endsWith('position_embeddings') || name.endsWith('decoder_pos_embed')
      const largest = Math.max(...data.map((value, k) => Math.abs(value - made![i]!.data[k]!)))
      expect(largest, name).toBeLessThanOrEqual(isTable ? 1e-6 : 0)
    }
    expect(jsonOf(out, 'config.json')).toMatchObject(jsonOf(fixtures, 'huggingface-mae/config.json'))
    expect(jsonOf(out, 'preprocessor_config.json')).toMatchObject({
      ...jsonOf(fixtures, 'huggingface-mae/preprocessor_config.json'),
      ...{ image_processor_type: 'ViTImageProcessor', resample: 2 }, // as transformers takes what the file leaves out
    })
    expect(jsonOf(out, 'config.json')).not.toHaveProperty('sherd')
  })

  it.each([
    ['huggingface-mae', 'pretraining'],
    ['huggingface-vit', 'classification'],
  ] as const)('of %s is imported to the same bytes', async (from, task) => {
    const { path } = await bring(from)
    const out = place()
    expect((await exportHuggingface({ model: path, out, onnx: [] })).task).toBe(task)
    const again = await importWeights({ from: out, out: place('.safetensors') })
    expect(readFileSync(again.path).equals(readFileSync(path))).toBe(true)
  })

  it('of an encoder has its names alone', async () => {
    const { path } = await bring('mae.pth', { set: ['model.heads=2', 'decoder.heads=2'] })
    const out = place()
    const made = await exportHuggingface({ model: path, out, task: 'encoder', onnx: [] })
    expect(made.architecture).toBe('ViTModel')
    const names = [...readArrays(join(out, 'model.safetensors')).tensors.keys()]
    expect(names).toHaveLength(22)
    expect(names).toContain('embeddings.cls_token')
    expect(names.filter((name) => /^vit\.|decoder/.test(name))).toEqual([])
    expect(jsonOf(out, 'config.json')).toMatchObject({ model_type: 'vit', layer_norm_eps: 1e-6 })
  })

  it('of a head on the mean is a BEiT, without the bias of keys', async () => {
    const { model, arrays } = await meanClassifier('mean')
    const out = place()
    const made = await exportHuggingface({ model, out, onnx: ['fp32'] }) // the graph is compared with LibTorch
    expect(made).toMatchObject({ task: 'classification', architecture: 'BeitForImageClassification' })
    const { tensors } = readArrays(join(out, 'model.safetensors'))
    const block = [
      'attention.attention.query.weight',
      'attention.attention.query.bias',
      'attention.attention.key.weight',
    ]
    for (const name of block) expect(tensors.has(`beit.encoder.layer.0.${name}`), name).toBe(true)
    const names = [...tensors.keys()]
    expect(names.filter((name) => /key\.bias|fc_norm|mask_token|beit\.layernorm|^vit/.test(name))).toEqual([])
    expect(tensors.get('beit.pooler.layernorm.weight')!.data).toEqual(arrays.get('fc_norm.weight')!.data)
    expect(tensors.get('classifier.weight')!.data).toEqual(arrays.get('head.weight')!.data)
    expect(jsonOf(out, 'config.json')).toMatchObject({
      ...{ model_type: 'beit', use_mean_pooling: true, use_absolute_position_embeddings: true },
      ...{ use_relative_position_bias: false, layer_scale_init_value: 0, id2label: { 0: 'ant', 1: 'bee' } },
    })
  })

  it('of a linear probe on the mean is a DINOv2, whose head does not look at cls', async () => {
    const { model, arrays } = await meanClassifier('normed-mean')
    const out = place()
    expect((await exportHuggingface({ model, out, onnx: [] })).architecture).toBe(
      'Dinov2ForImageClassification',
    )
    const { tensors } = readArrays(join(out, 'model.safetensors'))
    const head = tensors.get('classifier.weight')!
    const own = arrays.get('head.weight')!.data as Float32Array
    expect(head.shape).toEqual([2, 64])
    for (const row of [0, 1]) {
      const values = (head.data as Float32Array).subarray(64 * row, 64 * (row + 1))
      expect(values.subarray(0, 32)).toEqual(new Float32Array(32))
      expect(values.subarray(32)).toEqual(own.subarray(32 * row, 32 * (row + 1)))
    }
    for (const scale of ['layer_scale1', 'layer_scale2'])
      expect(tensors.get(`dinov2.encoder.layer.0.${scale}.lambda1`)!.data).toEqual(
        new Float32Array(32).fill(1),
      )
    const names = [...tensors.keys()].filter((name) => name.startsWith('dinov2.encoder.layer.0.')).sort()
    expect(
      names.map((name) => name.slice('dinov2.encoder.layer.0.'.length).replace(/\.(weight|bias)$/, '')),
    ).toEqual(
      [
        ...['attention.attention.key', 'attention.attention.query', 'attention.attention.value'],
        ...[
          'attention.output.dense',
          'layer_scale1.lambda1',
          'layer_scale2.lambda1',
          'mlp.fc1',
          'mlp.fc2',
          'norm1',
          'norm2',
        ],
      ].flatMap((name) => (name.startsWith('layer_scale') ? [name] : [name, name])),
    )
  })

  it.each([
    ['timm', 'pretraining', /no decoder/],
    ['huggingface-mae', 'classification', /no head of a classifier/],
  ] as const)('is refused for %s and %s', async (from, task, message) => {
    const { path } = await bring(from)
    await expect(exportHuggingface({ model: path, out: place(), task })).rejects.toThrow(message)
  })

  it('of bands is refused, and of a model that was never trained', async () => {
    const set = ['model.heads=2', 'decoder.heads=2', 'data.bands=["a","b","c"]', 'data.minValid=1']
    const statistics = { mean: [0, 0, 0], std: [1, 1, 1] }
    const groups = [...set, 'model.groups=[["a","b"],["c"]]', 'mask.ratio=0.5']
    const { path } = await bring('satmae.pth', { set: groups, statistics })
    await expect(exportHuggingface({ model: path, out: place() })).rejects.toThrow(/groups of bands.*ONNX/)
    const random = { model: 'random', config: tinyConfig(), out: place() }
    await expect(exportHuggingface(random)).rejects.toThrow(/random/)
  })
})

describe('a folder for timm', () => {
  it('is imported to the same bytes, and says its dimensions', async () => {
    const { path } = await bring('timm')
    const out = place()
    expect(await exportTimm({ model: path, out })).toMatchObject({ task: 'classification' })
    const again = await importWeights({ from: out, out: place('.safetensors') })
    expect(readFileSync(again.path).equals(readFileSync(path))).toBe(true)
    const [config, was] = [jsonOf(out, 'config.json'), jsonOf(fixtures, 'timm/config.json')]
    expect(config.model_args).toMatchObject(was.model_args as object)
    expect(config).toMatchObject({ num_classes: 3, global_pool: 'token', label_names: ['ant', 'bee', 'cat'] })
  })

  it("has timm's own numbers, but for the position of cls, which is in cls", async () => {
    const { path } = await bring('timm')
    const out = place()
    await exportTimm({ model: path, out })
    const { tensors: made } = readArrays(join(out, 'model.safetensors'))
    const { tensors: was } = readArrays(join(fixtures, 'timm/model.safetensors'))
    expect([...made.keys()].sort()).toEqual([...was.keys()].sort())
    for (const [name, { data, shape }] of was) {
      expect(made.get(name)!.shape, name).toEqual(shape)
      if (name !== 'cls_token' && name !== 'pos_embed') expect(made.get(name)!.data, name).toEqual(data)
    }
    const numbers = (all: typeof was, name: string) => all.get(name)!.data as Float32Array
    const cls = (all: typeof was) =>
      numbers(all, 'cls_token').map((x, i) => x + numbers(all, 'pos_embed')[i]!)
    expect(cls(made)).toEqual(cls(was))
    expect(numbers(made, 'pos_embed').subarray(8)).toEqual(numbers(was, 'pos_embed').subarray(8))
  })

  it('is refused for another epsilon', async () => {
    const { path } = await bring('huggingface-mae')
    await expect(exportTimm({ model: path, out: place() })).rejects.toThrow(
      /add 0\.000001, this model's 0\.01/,
    )
  })
})

it('a run is exported with the facts of its training, and imported again', async () => {
  const out = join(await workFolder(), 'run')
  await run({ config: tinyConfig(), out, data: await sampleFolder() })
  const folder = place()
  expect((await exportHuggingface({ model: out, out: folder, onnx: [] })).task).toBe('pretraining')
  const card = readFileSync(join(folder, 'README.md'), 'utf8')
  expect(card).toMatch(/^---\nlibrary_name: transformers\npipeline_tag: image-feature-extraction\n/)
  expect(card).toMatch(/A vision transformer of 1 block, width 32, 2 heads, patches of 4 × 4 pixels/)
  expect(card).toMatch(/6 optimizer steps of 8 samples/)
  expect(card).toMatch(/40 images, in 10 classes that pretraining does not look at/)
  expect(card).toMatch(/No score is given here/)
  const again = await importWeights({ from: folder, out: place('.safetensors') })
  expect(again.notes).toEqual([])
  const weights = join(out, 'checkpoints/step-00000006/model.safetensors')
  expect(sorted(again.path)).toEqual(sorted(weights))
  expect((await exportTimm({ model: out, out: place() })).task).toBe('encoder')
})
