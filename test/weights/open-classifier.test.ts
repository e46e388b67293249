// What is saved is what was scored: each file is opened again and judged on the same images.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { readArrays } from '../../src/checkpoint/safetensors.ts'
import { openWeightsFile } from '../../src/checkpoint/weights-file.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { judgeWithMap } from '../../src/evaluate/evaluate.ts'
import { finetune } from '../../src/evaluate/finetune.ts'
import {
  type FinetuneOptions,
  type FinetuneSettings,
  finetuneDefaults,
} from '../../src/evaluate/finetune-settings.ts'
import { openImages } from '../../src/evaluate/open-images.ts'
import { saveProbe } from '../../src/evaluate/save-probe.ts'
import { scoresOf } from '../../src/evaluate/scores.ts'
import { exportHuggingface } from '../../src/export/export-huggingface.ts'
import { exportTimm } from '../../src/export/export-timm.ts'
import { importWeights } from '../../src/import/import.ts'
import { writeSatelliteData } from '../../src/sample-data/satellite/write-places.ts'
import { featuresOf } from '../../src/weights/folder-features.ts'
import { valuesOf } from '../../src/weights/frozen-encoder.ts'
import { classifierLogits, openClassifier } from '../../src/weights/open-classifier.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { openSegmenter } from '../../src/weights/open-segmenter.ts'
import { colourFolder } from '../run/colour-folder.ts'
import { tinyConfig, workFolder } from '../run/tiny.ts'
import { expectClose } from '../tolerance.ts'

let [train, test, dir] = ['', '', '']
beforeAll(async () => {
  // Labels are half right only, so that scores are no round numbers.
  ;[train, test, dir] = await Promise.all([colourFolder(48, 1), colourFolder(30, 3, true), workFolder()])
})

const encoderOf = (train: ConfigInput['train'] = { precision: 'fp32' }) =>
  openEncoder({ model: 'random', config: tinyConfig({ train }), device: 'cpu', seed: 1 })

const settings: FinetuneSettings = {
  ...finetuneDefaults,
  ...{ epochs: 2, batchSize: 16, baseLearningRate: 0.02, warmupEpochs: 0, randAugment: null },
}
const tune = async (
  save: string,
  over: Partial<FinetuneSettings> = {},
  more: Partial<FinetuneOptions> = {},
) =>
  finetune({
    ...{ encoder: await encoderOf(), data: { train, test }, settings: { ...settings, ...over }, save },
    ...{ seeds: [0], fromScratch: false, signal: new AbortController().signal, ...more },
  })

async function scoresOfFile(model: string) {
  const classifier = await openClassifier({ model, device: 'cpu' })
  const { logits, indices, source, classes } = await classifierLogits(classifier, test)
  return scoresOf(
    logits,
    Int32Array.from(indices, (index) => source.labels![index]!),
    classes,
  )
}

describe('a fine-tuned classifier that is saved', () => {
  it.each<[string, Partial<FinetuneSettings>, Partial<FinetuneOptions>]>([
    ['mean', {}, {}],
    ['cls', { head: 'cls' }, {}],
    ['normed mean', { head: 'normed-mean' }, {}],
    ['partial', { blocks: 0 }, {}],
    ['scratch', { layerDecay: 1 }, { fromScratch: true }],
    ['averaged weights of the first of two seeds', { ema: 0.7 }, { seeds: [4, 5] }],
  ])('scores the same when it is opened again: %s', async (name, over, more) => {
    const model = join(dir, `${name}.safetensors`)
    const report = await tune(model, over, more)
    expect(await scoresOfFile(model)).toEqual(report.scores)
  })

  it('in bfloat16, too', async () => {
    const model = join(dir, 'bf16.safetensors')
    const report = await tune(model, {}, { encoder: await encoderOf({ precision: 'auto' }) })
    expect(await scoresOfFile(model)).toEqual(report.scores)
  })

  it('has the names of the field, and says its classes', async () => {
    const model = join(dir, 'named.safetensors')
    await tune(model)
    const { tensors, metadata } = readArrays(model)
    const names = [...tensors.keys()]
    expect(names).toEqual(expect.arrayContaining(['cls_token', 'fc_norm.weight', 'head.weight', 'head.bias']))
    expect(names).not.toContain('norm.weight')
    expect(tensors.get('head.weight')!.shape).toEqual([3, 32])
    expect(JSON.parse(metadata.sherd!)).toMatchObject({
      classifier: { head: 'mean', classes: ['class-0', 'class-1', 'class-2'] },
      protocol: 'finetune',
    })
    expect(metadata.step).toBeUndefined() // its weights are none of a step of pretraining
  })

  it('can be used as an encoder: the mean goes through fc_norm, and it learns on', async () => {
    const model = join(dir, 'encoder.safetensors')
    await tune(model)
    const encoder = await openEncoder({ model, device: 'cpu' })
    expect(encoder.norm).toBe('fc_norm')
    const { features } = await featuresOf(encoder, test)
    const { tensors } = readArrays(model)
    const [weight, bias] = ['head.weight', 'head.bias'].map((name) => tensors.get(name)!.data as Float32Array)
    // The head on the features is the classifier.
    const made = Array.from({ length: 30 * 3 }, (_, i) => {
      const x = valuesOf(features, 'mean').values.subarray(
        Math.floor(i / 3) * 32,
        Math.floor(i / 3) * 32 + 32,
      )
      return x.reduce((sum, value, d) => sum + value * weight![(i % 3) * 32 + d]!, bias![i % 3]!)
    })
    expectClose(
      made,
      (await classifierLogits(await openClassifier({ model, device: 'cpu' }), test)).logits,
      1e-5,
    )
    await tune(join(dir, 'again.safetensors'), { head: 'cls' }, { encoder })
    expect((await openEncoder({ model: join(dir, 'again.safetensors'), device: 'cpu' })).norm).toBe('norm')
  })
})

it('a classifier that learned from some of the bands takes the same ones when it is opened again', async () => {
  const [rasters, model] = [join(dir, 'rasters'), join(dir, 'bands.safetensors')]
  await writeSatelliteData({
    dir: rasters,
    count: 24,
    size: 16,
    dates: 1,
    layout: 'stack',
    masks: false,
    seed: 2,
  })
  const config = tinyConfig({
    model: { groups: [['B4', 'B3'], ['B11']], groupWidth: 8 },
    decoder: { groupWidth: 4 },
    data: { bands: ['B3', 'B4', 'B11'] },
    train: { precision: 'fp32' },
  })
  const statistics = { mean: [900, 950, 2000], std: [500, 600, 1000] }
  const encoder = await openEncoder({
    model: 'random',
    config,
    statistics,
    device: 'cpu',
    bands: ['B3', 'B4'],
  })
  const data = { train: rasters, test: rasters }
  const report = await tune(model, { mixup: 0, cutmix: 0, erasing: 0 }, { encoder, data })
  const opened = await openClassifier({ model, device: 'cpu' })
  expect([opened.bands, opened.only]).toEqual([['B4', 'B3'], [0]])
  const { logits, indices, source, classes } = await classifierLogits(opened, rasters)
  const labels = Int32Array.from(indices, (index) => source.labels![index]!)
  expect(scoresOf(logits, labels, classes)).toEqual(report.scores)
})

describe('a linear probe that is saved', () => {
  const probe = async (save: string, model: string | null, rates: readonly number[]) => {
    const encoder = model === null ? await encoderOf() : await openEncoder({ model, device: 'cpu' })
    const images = await openImages({ encoder, data: { train, test } })
    const { report, map } = await judgeWithMap(images, {
      ...{ protocol: 'linear', seeds: [2, 3] },
      settings: {
        ...{ neighbours: [1], temperature: 1, optimizer: 'lars', baseLearningRates: rates, shots: [] },
        ...{ epochs: 8, batchSize: 32 },
      },
    })
    saveProbe(save, encoder, { map: map!, classes: report.classes })
    return { report, pooling: map!.pooling }
  }

  it('scores the same when it is opened again, as a head on what it read', async () => {
    const model = join(dir, 'probe.safetensors')
    const { report, pooling } = await probe(model, null, [0.1, 1])
    expect(await scoresOfFile(model)).toEqual(report.scores)
    const { head } = await openClassifier({ model, device: 'cpu' })
    expect(head).toBe(pooling === 'cls' ? 'cls' : 'normed-mean')
  })

  it('on the encoder of a fine-tuned classifier reads what that has', async () => {
    const [tuned, model] = ['tuned', 'on-tuned'].map((name) => join(dir, `${name}.safetensors`))
    await tune(tuned!)
    const { report, pooling } = await probe(model!, tuned!, [1])
    expect(await scoresOfFile(model!)).toEqual(report.scores)
    const { head } = await openClassifier({ model: model!, device: 'cpu' })
    expect(head).toBe(pooling === 'cls' ? 'plain-cls' : 'mean')
  })
})

it('a head on the mean behind the norm goes to timm and comes back as what it is', async () => {
  const [model, folder, again] = ['nm.safetensors', 'timm', 'nm-again.safetensors'].map((name) =>
    join(dir, name),
  )
  await tune(model!, { head: 'normed-mean' })
  await exportTimm({ model: model!, out: folder! })
  const config = JSON.parse(readFileSync(join(folder!, 'config.json'), 'utf8'))
  expect(config.model_args).toMatchObject({ global_pool: 'avg', fc_norm: false })
  await importWeights({ from: folder!, out: again!, set: ['train.precision=fp32'] })
  expect((await openClassifier({ model: again!, device: 'cpu' })).head).toBe('normed-mean')
  expect(await scoresOfFile(again!)).toEqual(await scoresOfFile(model!))
})

it('a head on cls before the norm is in no other library', async () => {
  const [tuned, model] = ['below', 'plain-cls'].map((name) => join(dir, `${name}.safetensors`)) as [
    string,
    string,
  ]
  await tune(tuned)
  const encoder = await openEncoder({ model: tuned, device: 'cpu' })
  const map = { pooling: 'cls' as const, weight: new Float32Array(96).fill(0.1), bias: new Float32Array(3) }
  saveProbe(model, encoder, { map, classes: ['a', 'b', 'c'] })
  await expect(exportTimm({ model, out: join(dir, 'x') })).rejects.toThrow(/cls token before any norm/)
  await expect(exportHuggingface({ model, out: join(dir, 'x') })).rejects.toThrow(
    /cls before the norm.*as ONNX/,
  )
})

describe('a place to save', () => {
  it.each<[string, (dir: string) => string, RegExp]>([
    ['another ending', (dir) => join(dir, 'x.pth'), /--save: expected a name that ends in \.safetensors/],
    ['a folder', (dir) => join(dir, 'folder.safetensors'), /it is a folder/],
    ['below a file', (dir) => join(dir, 'file/x.safetensors'), /there is a file of this name/],
    ['in a file system that takes none', () => '/proc/x.safetensors', /Cannot write|Cannot create/],
  ])('is refused before anything is learned: %s', async (_, place, message) => {
    mkdirSync(join(dir, 'folder.safetensors'), { recursive: true })
    writeFileSync(join(dir, 'file'), '')
    let steps = 0
    await expect(tune(place(dir), {}, { onStep: () => void steps++ })).rejects.toThrow(message)
    expect(steps).toBe(0)
  })

  it('is made with the folders above it, and is empty until then', () => {
    const path = openWeightsFile(join(dir, 'deep/er/x.safetensors'))
    expect([existsSync(join(dir, 'deep/er')), existsSync(path), existsSync(`${path}.writing`)]).toEqual([
      true,
      false,
      false,
    ])
  })
})

it('a file without a head is refused by what it lacks', async () => {
  const model = join(dir, 'plain.safetensors')
  await tune(model)
  await expect(openSegmenter({ model, device: 'cpu' })).rejects.toThrow(
    /no head of segmentation.*segment --save/,
  )
  await expect(openClassifier({ model: 'random', device: 'cpu' })).rejects.toThrow(/random/)
})
