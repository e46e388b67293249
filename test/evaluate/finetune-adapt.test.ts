// Fine-tuning that leaves the encoder as it is: what is written, what it is read as, and on what it is refused.
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { readArrays, writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { weightsMetadata } from '../../src/checkpoint/weights-metadata.ts'
import { backboneOf } from '../../src/config/resolve.ts'
import { finetune } from '../../src/evaluate/finetune.ts'
import { type FinetuneSettings, finetuneDefaults } from '../../src/evaluate/finetune-settings.ts'
import type { Adaptation } from '../../src/model/adapt.ts'
import { backboneRows } from '../../src/model/backbone.ts'
import { imagenetStatistics } from '../../src/prepare/normalize.ts'
import { liveTensors } from '../../src/tensor/scope.ts'
import { logitsOfSource, openClassifier } from '../../src/weights/open-classifier.ts'
import { type OpenedEncoder, openEncoder, openFor } from '../../src/weights/open-encoder.ts'
import { stirredParameters } from '../model/tiny-model.ts'
import { colourFolder } from '../run/colour-folder.ts'
import { tinyConfig, workFolder } from '../run/tiny.ts'
import { expectClose, numbers } from '../tolerance.ts'

const config = tinyConfig({ train: { precision: 'fp32' }, model: { depth: 2 } })
const rows = backboneRows(backboneOf(config))

/** A file of an encoder. */
async function baseOf(seed: number): Promise<string> {
  const path = join(await workFolder(), 'base.safetensors')
  const parameters = stirredParameters({ rows }, seed)
  writeSafetensors(path, parameters, weightsMetadata({ config, statistics: imagenetStatistics }))
  return path
}

let [train, test, base] = ['', '', '']
let encoder: OpenedEncoder
beforeAll(async () => {
  ;[train, test, base] = await Promise.all([colourFolder(24, 1), colourFolder(12, 2), baseOf(1)])
  encoder = await openEncoder({ model: base, device: 'cpu' })
})

const lora: Adaptation = { kind: 'lora', rank: 2, alpha: 4, targets: ['qkv', 'fc1'] }
const bitfit: Adaptation = { kind: 'bitfit' }
const settings: FinetuneSettings = {
  ...finetuneDefaults,
  ...{
    epochs: 5,
    batchSize: 12,
    baseLearningRate: 0.5,
    layerDecay: 1,
    warmupEpochs: null,
    randAugment: null,
  },
  ...{ mixup: 0, cutmix: 0, erasing: 0, dropPath: 0 },
}
const tune = (
  adapt: Adaptation,
  over: Partial<FinetuneSettings> = {},
  more: Partial<Parameters<typeof finetune>[0]> = {},
) =>
  finetune({
    ...{ encoder, data: { train, test }, settings: { ...settings, ...over, adapt }, seeds: [0] },
    ...{ fromScratch: false, signal: new AbortController().signal },
    ...more,
  })
const adapterIn = (dir: string) => join(dir, 'adapter_model.safetensors')
const arraysOf = (path: string) => readArrays(path).tensors

const logits = async (model: string) => {
  const classifier = await openClassifier({ model, device: 'cpu' })
  return (await logitsOfSource(classifier, await openFor(classifier, test))).logits
}
const encoded = async (model: string) => (await openEncoder({ model, device: 'cpu' })).parameters

describe.each([
  ['low-rank adapters', lora, /\.lora_[AB]\.weight$/, /^blocks\.\d\.(attn\.qkv|mlp\.fc1)\.weight$/],
  ['biases', bitfit, /bias$/, /^(patch_embed|blocks)\..*bias$/],
] as const)('fine-tuning of %s', (_, adapt, small, changes) => {
  let [adapter, whole] = ['', '']
  beforeAll(async () => {
    const dir = await workFolder()
    adapter = join(dir, 'adapter')
    whole = join(dir, 'whole.safetensors')
    const before = liveTensors()
    const report = await tune(adapt, {}, { save: adapterIn(adapter) })
    expect(liveTensors()).toBeLessThanOrEqual(before) // others may be collected meanwhile
    expect(report.rows[0]!.top1.mean).toBe(1)
    expect(report.settings.adapt).toEqual(adapt)
    await tune(adapt, {}, { save: whole })
  })

  it('writes what has learned alone, and the head', () => {
    const names = [...arraysOf(adapterIn(adapter)).keys()].map((name) =>
      name.replace('base_model.model.', ''),
    )
    const head = ['fc_norm.weight', 'fc_norm.bias', 'head.weight', 'head.bias']
    expect(names.filter((name) => !head.includes(name)).every((name) => small.test(name))).toBe(true)
    expect(head.every((name) => names.includes(name))).toBe(true)
    expect(statSync(adapterIn(adapter)).size).toBeLessThan(statSync(base).size / 2)
  })

  it('changes nothing else of the encoder by a single bit', () => {
    const [before, after] = [arraysOf(base), arraysOf(whole)]
    const changed = [...after].filter(
      ([name, { data }]) =>
        before.has(name) && Buffer.compare(bytes(data), bytes(before.get(name)!.data)) !== 0,
    )
    expect(changed.length).toBeGreaterThan(3)
    expect(changed.map(([name]) => name).filter((name) => !changes.test(name))).toEqual([])
  })

  it('gives a folder that every command takes, as the whole model', async () => {
    expectClose(await logits(adapter), await logits(whole), 1e-5)
    expect(await logits(adapterIn(adapter))).toEqual(await logits(adapter)) // the file names its folder
    const [one, other] = [await encoded(adapter), await encoded(whole)]
    expect([...one.keys()]).toEqual([...other.keys()])
    for (const [name, value] of one) expectClose(value, other.get(name)!, 1e-6)
    const { notes } = await openEncoder({ model: adapter, device: 'cpu' })
    expect(notes).toEqual([expect.stringContaining(`with the adapter ${adapter}`)])
  })

  it('is stopped and continued to the same bytes', async () => {
    const work = join(await workFolder(), 'work')
    const again = join(await workFolder(), 'adapter')
    const abort = new AbortController()
    const options = { work, save: adapterIn(again) }
    const stopped = tune(
      adapt,
      {},
      {
        ...options,
        signal: abort.signal,
        onStep: ({ step }) => step === 4 && abort.abort(),
      },
    )
    await expect(stopped).rejects.toMatchObject({ code: 'INTERRUPTED' })
    await tune(adapt, {}, options)
    expect(readFileSync(adapterIn(again)).equals(readFileSync(adapterIn(adapter)))).toBe(true)
  })
})

const bytes = (data: ArrayBufferView) => Buffer.from(data.buffer, data.byteOffset, data.byteLength)

describe('an adapter', () => {
  it('counts by its averages and its best epoch as other weights do', async () => {
    const dir = join(await workFolder(), 'adapter')
    const over = { epochs: 2, ema: 0.5 }
    const report = await tune(lora, over, { save: adapterIn(dir), validation: { share: 0.25 } })
    expect(report.rows.map(({ setting }) => setting)).toEqual([
      'last weights',
      'averaged weights',
      'best epoch, averaged weights',
    ])
    const classifier = await openClassifier({ model: dir, device: 'cpu' })
    const source = await openFor(classifier, test)
    const { logits, indices } = await logitsOfSource(classifier, source)
    const right = indices.filter((index, row) => {
      const own = Array.from(logits.slice(3 * row, 3 * row + 3))
      return own.indexOf(Math.max(...own)) === source.labels![index]
    })
    expect(right.length / indices.length).toBeCloseTo(report.rows[2]!.top1.mean, 9)
  })

  it('is written as PEFT writes it, with the seal of its base', async () => {
    const dir = join(await workFolder(), 'adapter')
    await tune(lora, { epochs: 1 }, { save: adapterIn(dir) })
    const written = JSON.parse(readFileSync(join(dir, 'adapter_config.json'), 'utf8'))
    expect(written).toMatchObject({
      ...{ peft_type: 'LORA', base_model_name_or_path: base, r: 2, lora_alpha: 4, lora_dropout: 0 },
      ...{ target_modules: ['attn.qkv', 'mlp.fc1'], modules_to_save: ['fc_norm', 'head'], bias: 'none' },
    })
    const { metadata } = readArrays(adapterIn(dir))
    expect(JSON.parse(metadata['sherd-adapter']!)).toMatchObject({
      base: expect.stringMatching(/^[0-9a-f]{64}$/),
      classifier: { head: 'mean', classes: ['class-0', 'class-1', 'class-2'] },
    })
  })

  it('is refused on other weights, on none, and where it is broken', async () => {
    const dir = join(await workFolder(), 'adapter')
    await tune(lora, { epochs: 1 }, { save: adapterIn(dir) })
    const file = join(dir, 'adapter_config.json')
    const written = JSON.parse(readFileSync(file, 'utf8'))
    const withBase = (base_model_name_or_path: string | null) =>
      writeFileSync(file, JSON.stringify({ ...written, base_model_name_or_path }))
    const opening = () => openEncoder({ model: dir, device: 'cpu' })
    const other = await baseOf(2)
    withBase(other)
    await expect(opening()).rejects.toThrow(`it was trained on other weights than those of ${other} (SHA-256`)
    withBase('models/google/vit-base')
    await expect(opening()).rejects.toThrow('is an adapter of "models/google/vit-base", which is not there')
    withBase(null)
    await expect(opening()).rejects.toThrow('is an adapter of a model that it does not name')
    withBase(dir)
    await expect(opening()).rejects.toThrow('which is an adapter itself')
    writeFileSync(file, '{"peft_type":"IA3"}')
    await expect(opening()).rejects.toThrow('is not of an adapter that sherd reads')
    writeFileSync(file, JSON.stringify({ ...written, use_dora: true }))
    await expect(opening()).rejects.toThrow('its weights are decomposed (use_dora)')
    writeFileSync(file, JSON.stringify(written))
    rmSync(adapterIn(dir))
    await expect(opening()).rejects.toThrow('it has no adapter_model.safetensors')
  })

  it('needs targets that there are, a rank that fits, and an encoder that is kept', async () => {
    await expect(tune({ ...lora, targets: ['query'] })).rejects.toThrow(
      'no linear map of this encoder is called "query": its maps are qkv, proj, fc1, fc2.',
    )
    await expect(tune({ ...lora, rank: 33 })).rejects.toThrow(
      '--lora-rank (adapt.rank) is 33, and blocks.0.attn.qkv.weight is [96, 32]',
    )
    await expect(tune(lora, {}, { fromScratch: true })).rejects.toThrow('nothing is adapted from scratch')
    const save = adapterIn(join(await workFolder(), 'adapter'))
    await expect(tune({ kind: 'none' }, {}, { save })).rejects.toThrow('trained with --lora-rank or --bitfit')
    const random = await openEncoder({ model: 'random', config, device: 'cpu' })
    await expect(tune(lora, {}, { save, encoder: random })).rejects.toThrow(
      'on an encoder that lies in files',
    )
  })

  it('of rank 0 is the encoder as it was, with a head', async () => {
    const path = join(await workFolder(), 'whole.safetensors')
    await tune({ ...lora, rank: 0 }, { epochs: 1 }, { save: path })
    const [before, after] = [arraysOf(base), arraysOf(path)]
    for (const [name, { data }] of after)
      if (before.has(name))
        expectClose(numbers(data as Float32Array), numbers(before.get(name)!.data as Float32Array), 0)
  })
})
