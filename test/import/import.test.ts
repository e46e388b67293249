import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, describe, expect, it } from 'vitest'
import type { StoredArray } from '../../src/checkpoint/arrays.ts'
import { readArrays, readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { readWeightsMetadata } from '../../src/checkpoint/weights-metadata.ts'
import { maskedObjectiveOf, objectiveOf } from '../../src/config/assemble.ts'
import {
  backboneOf,
  decodedConfig,
  masksOf,
  pixelTargetOf,
  resolveConfig,
  targetKeysOf,
} from '../../src/config/resolve.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { predictionsOf } from '../../src/evaluate/prediction-file.ts'
import { exportHuggingface } from '../../src/export/export-huggingface.ts'
import { exportOnnx } from '../../src/export/export-onnx.ts'
import { exportTimm } from '../../src/export/export-timm.ts'
import { openModel } from '../../src/export/model-parts.ts'
import { type ImportOptions, importWeights } from '../../src/import/import.ts'
import { releasedBands } from '../../src/import/satmae-statistics.ts'
import { onnxLogits, openOnnxClassifier } from '../../src/infer/onnx-classifier.ts'
import { openBackbone } from '../../src/model/backbone.ts'
import { classify } from '../../src/model/classifier.ts'
import { loadParameters, weightsOf } from '../../src/model/parameters.ts'
import { totalOf } from '../../src/objective/losses.ts'
import { packageRoot } from '../../src/package-root.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { inherit } from '../../src/run/inherit.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { fromArray, item } from '../../src/tensor/tensor.ts'
import { sineCosinePositions } from '../../src/token/position.ts'
import { resampleNumbers } from '../../src/token/resample-positions.ts'
import { classifierLogits, openClassifier } from '../../src/weights/open-classifier.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { expectClose, product } from '../tolerance.ts'

const fixtures = join(packageRoot(), 'test/fixtures/weights')
const work = mkdtempSync(join(tmpdir(), 'sherd-import-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

const { tensors: expected } = readArrays(join(fixtures, 'expected.safetensors'))
const want = (name: string) => expected.get(name)!.data as Float32Array
const asTensor = (name: string) => {
  const { data, shape, dtype } = expected.get(name)!
  return fromArray(data, shape, dtype)
}
const quiet = (body: () => void) => noGrad(() => scope(body))

let count = 0
const bring = (from: string, options: Partial<ImportOptions> = {}) =>
  importWeights({ from: join(fixtures, from), out: join(work, `${count++}.safetensors`), ...options })

const heads = ['model.heads=2', 'decoder.heads=2']

/** A folder of two small pictures. */
async function twoPictures(): Promise<string> {
  const pictures = mkdtempSync(join(work, 'pictures-'))
  for (const [i, grey] of [40, 200].entries())
    await sharp({
      create: { width: 6, height: 6, channels: 3, background: { r: grey, g: 90, b: 30 } },
    }).toFile(join(pictures, `${i}.png`))
  return pictures
}

/** The tokens [B, 1 + N, D] that an imported file gives for the images of the fixtures. */
async function expectTokens(path: string, name: string, images = 'input.images'): Promise<void> {
  const encoder = await openEncoder({ model: path, device: 'cpu' })
  quiet(() => {
    const backbone = openBackbone(encoder.shape, 'cpu')
    const { sequence } = backbone.encodeAll(viewOf(asTensor(images)), weightsOf(encoder.parameters))
    expectClose(sequence, want(name), 1e-5)
  })
}

/** What the whole model of an imported file predicts, and its loss where PyTorch gave one. */
function expectPrediction(path: string, name: string, images = 'input.images', noise = 'input.noise'): void {
  const { metadata, tensors: stored } = readSafetensors(path)
  const { config } = readWeightsMetadata(path, metadata)!
  const objective = maskedObjectiveOf(config, 'cpu')
  const parameters = loadParameters(objective.rows, stored, 'cpu')
  quiet(() => {
    const plan = objective.planFromNoise(asTensor(noise))
    const weights = weightsOf(parameters)
    expectClose(
      objective.predict(weights, viewOf(asTensor(images)), plan).prediction,
      want(`${name}.pred`),
      1e-5,
    )
    if (!expected.has(`${name}.loss`)) return
    const loss = item(totalOf(objective.loss(weights, { image: viewOf(asTensor(images)) }, plan)))
    expect(Math.abs(loss - want(`${name}.loss`)[0]!)).toBeLessThan(1e-5)
  })
}

describe('a checkpoint of facebookresearch/mae', () => {
  it('computes here what it computes there, and says how it was trained', async () => {
    const made = await bring('mae.pth', { set: heads })
    expect(made.layout).toBe('mae')
    expect(made.config.model).toMatchObject({
      ...{ imageSize: [6, 6], patchSize: 2, channels: 3, width: 8, depth: 1, heads: 2, mlpRatio: 2 },
      ...{ positions: 'fixed', layerNormEpsilon: 1e-6 },
    })
    expect(decodedConfig(made.config).decoder).toEqual({ kind: 'transformer', width: 4, depth: 1, heads: 2 })
    expect([masksOf(made.config)?.ratio, pixelTargetOf(made.config)?.normalize]).toEqual([0.5, true])
    expect(made.notes).toEqual([
      expect.stringMatching(
        /prepared: taken as the authors of mae evaluate, shortest 0\.875, bicubic, mean 0\.485/,
      ),
    ])
    expect(made.rows.filter(({ status }) => status === 'left out')).toEqual([
      {
        name: 'pos_embed',
        status: 'left out',
        from: [],
        why: expect.stringMatching(/^sines and cosines.*3 × 3/),
      },
      { name: 'decoder_pos_embed', status: 'left out', from: [], why: expect.stringMatching(/^sines/) },
    ])
    expect(new Set(made.rows.map(({ status }) => status))).toEqual(new Set(['loaded', 'left out']))
    await expectTokens(made.path, 'mae.tokens')
    expectPrediction(made.path, 'mae')
  })

  it('is not read without a number of heads', async () => {
    await expect(bring('mae.pth')).rejects.toThrow(
      /does not say model\.heads and decoder\.heads.*--set model\.heads=… --set decoder\.heads=…/,
    )
  })

  it('moves to another grid: computed positions are computed for it', async () => {
    const { path, config } = await bring('mae.pth', { set: [...heads, 'model.imageSize=[4,10]'] })
    expect(config.model.imageSize).toEqual([4, 10])
    await openEncoder({ model: path, device: 'cpu' })
  })

  it('says in its table that tables are computed for another grid', async () => {
    const { rows } = await bring('mae.pth', { set: [...heads, 'model.imageSize=[4,10]'] })
    const why = (name: string) => rows.find((row) => row.name === name)!.why
    expect(why('pos_embed')).toMatch(/^sines and cosines.*\(3 × 3.*; recomputed for 2 × 5 places$/)
    expect(why('decoder_pos_embed')).toMatch(/\(3 × 3\); recomputed for 2 × 5 places$/)
  })

  it('begins a run, its embedding inflated for other bands', async () => {
    const { path, config } = await bring('mae.pth', { set: heads })
    scope(() => {
      const { inheritance } = inherit(path, objectiveOf(config, 'cpu').rows, config)
      expect([inheritance.fresh, inheritance.unused]).toEqual([[], []])
    })
  })
})

it("SatMAE's groups: encoder and decoder are what they are there", async () => {
  const set = [
    ...[...heads, 'data.bands=["B2","B3","B4"]', 'model.groups=[["B2","B4"],["B3"]]'],
    ...['mask.ratio=0.5', 'data.minValid=1'],
  ]
  const statistics = { mean: [0, 0, 0], std: [1, 1, 1] }
  const made = await bring('satmae.pth', { set, statistics })
  expect(made.layout).toBe('satmae')
  expect(made.config.model).toMatchObject({
    ...{ imageSize: [4, 4], patchSize: 2, channels: 3, width: 12, groupWidth: 4 },
  })
  expect(decodedConfig(made.config).decoder).toMatchObject({ groupWidth: 4, compat: 'satmae' })
  expect(targetKeysOf(made.config)).toMatchObject({ normalize: false, statistics: 'all' })
  expect(made.rows.filter(({ status }) => status === 'left out').map(({ name }) => name)).toEqual([
    ...['pos_embed', 'decoder_pos_embed', 'channel_embed', 'decoder_channel_embed'],
  ])
  expectPrediction(made.path, 'satmae', 'input.small', 'input.small noise')
  await expect(bring('satmae.pth', { set: heads, statistics })).rejects.toThrow(
    /data\.bands and model\.groups/,
  )
})

describe('the released models of SatMAE, by their shapes', () => {
  const table = (rows: number, data: Float32Array): StoredArray => {
    const width = data.length / rows
    const whole = new Float32Array(width + data.length)
    whole.set(data, width)
    return { dtype: 'float32', shape: [1, 1 + rows, width], data: whole }
  }
  /** A file of zeros with a model's names and shapes, and its tables. */
  const written = (config: ConfigInput, tables: Readonly<Record<string, StoredArray>>): string => {
    const { rows } = objectiveOf(resolveConfig(config), 'cpu')
    const zeros = rows.map(({ name, shape }): [string, StoredArray] => [
      name,
      { dtype: 'float32', shape, data: new Float32Array(product(shape)) },
    ])
    const path = join(work, `released-${count++}.safetensors`)
    writeSafetensors(path, new Map([...zeros, ...Object.entries(tables)]))
    return path
  }
  const small = { imageSize: 4, patchSize: 2, depth: 1, heads: 2, mlpRatio: 1 } as const
  const decoder = { depth: 1, heads: 2 } as const
  const places = (width: number) => sineCosinePositions({ h: 2, w: 2 }, width)
  const read = (path: string, options: Partial<ImportOptions> = {}) =>
    importWeights({ from: path, out: join(work, `${count++}.safetensors`), set: heads, ...options })

  it('of ten bands are known with their groups and what they were normalised by', async () => {
    const bands = [...releasedBands.bands]
    const groups = releasedBands.groups.map((group) => [...group])
    const path = written(
      {
        data: { bands },
        model: { ...small, width: 12, groupWidth: 4, groups },
        decoder: { ...decoder, width: 8, groupWidth: 4 },
      },
      { pos_embed: table(4, places(8)), decoder_pos_embed: table(4, places(4)) },
    )
    const { config, statistics, notes } = await read(path)
    expect(config).toMatchObject({
      data: { kind: 'rasters', bands },
      model: { imageSize: [4, 4], groups, groupWidth: 4 },
      decoder: { groupWidth: 4, compat: 'satmae' },
    })
    expect(statistics.mean[0]).toBeCloseTo(1184.38 - 2 * 650.28, 1)
    expect(statistics.high![9]).toBeCloseTo(1247.92 + 2 * 1087.6, 1)
    expect(notes.join()).toMatch(/groups of 4,4,2 bands: taken as the released ones/)
    await openEncoder({ model: (await read(path)).path, device: 'cpu' })
  })

  it('of three dates are known by the room that their positions leave', async () => {
    const time = { timeWidth: 4, timeFields: ['year', 'month', 'hour'] as const }
    const path = written(
      {
        data: { bands: ['B4', 'B3', 'B2'] },
        model: {
          ...{ ...small, ...time, timeFields: [...time.timeFields] },
          ...{ frames: 3, width: 16 },
        },
        decoder: { ...decoder, width: 10, timeWidth: 2 },
      },
      { pos_embed: table(4, places(4)), decoder_pos_embed: table(4, places(4)) },
    )
    const statistics = { mean: [0, 0, 0], std: [1, 1, 1] }
    await expect(read(path, { statistics })).rejects.toThrow(/does not say data\.bands/)
    const set = [...heads, 'data.bands=["B4","B3","B2"]']
    const { config, notes } = await read(path, { statistics, set })
    expect(config.model).toMatchObject({ frames: 3, ...time })
    expect(notes.join()).toMatch(/three frames/)
  })
})

describe("timm's classifier with learned positions", () => {
  const classifierLogits = (path: string, name: string) => {
    const { metadata, tensors: stored } = readSafetensors(path)
    const { config, classifier } = readWeightsMetadata(path, metadata)!
    quiet(() => {
      const backbone = openBackbone(backboneOf(config), 'cpu')
      const weights = weightsOf(stored)
      const logits = classify(viewOf(asTensor('input.images')), weights, { backbone, head: classifier!.head })
      expectClose(logits, want(`${name}.logits`), 1e-5)
    })
    return classifier
  }

  it('computes here what it computes there, head and cls with its position', async () => {
    const made = await bring('timm')
    expect(made.layout).toBe('timm')
    expect(made.config.model).toMatchObject({ positions: 'learned', heads: 2, layerNormEpsilon: 1e-6 })
    expect(made.statistics).toEqual({ mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] })
    expect([made.classes, made.notes]).toEqual([['ant', 'bee', 'cat'], []])
    await expectTokens(made.path, 'timm.tokens')
    expect(classifierLogits(made.path, 'timm')).toEqual({ head: 'cls', classes: ['ant', 'bee', 'cat'] })
  })

  it('keeps its table for another grid, and says how timm resamples it', async () => {
    const made = await bring('timm', { set: ['model.imageSize=[8,10]'] })
    expect(made.config.model).toMatchObject({
      ...{ imageSize: [8, 10], positionGrid: [3, 3], resampling: 'cubic-antialias' },
    })
    const { tensors } = readArrays(made.path)
    expect(tensors.get('pos_embed')!.shape).toEqual([9, 8])
    const table = resampleNumbers(tensors.get('pos_embed')!.data as Float32Array, 8, {
      ...{ from: { h: 3, w: 3 }, to: { h: 4, w: 5 }, by: 'cubic-antialias' },
    })
    expectClose(table, want('timm.positions'), 1e-6)
  })

  it('begins a run on another grid, its positions interpolated', async () => {
    const { path, config } = await bring('timm')
    const other = resolveConfig({ model: { ...config.model, imageSize: [8, 10] } })
    scope(() => {
      const { tensors, inheritance } = inherit(path, objectiveOf(other, 'cpu').rows, other)
      expect(inheritance.resampled).toEqual(['pos_embed'])
      expectClose(tensors.get('pos_embed')!, want('timm.positions'), 1e-6)
      expect(inheritance.unused).toEqual(['head.weight', 'head.bias'])
    })
  })

  it("of transformers, in half precision, with transformers' own epsilon", async () => {
    const made = await bring('huggingface-vit')
    expect(made.config.model).toMatchObject({ depth: 2, layerNormEpsilon: 1e-12, positions: 'learned' })
    await expectTokens(made.path, 'huggingface-vit.tokens')
    expect(classifierLogits(made.path, 'huggingface-vit')?.classes).toEqual(['ant', 'bee', 'cat'])
    const qkv = made.rows.find(({ name }) => name === 'blocks.1.attn.qkv.bias')!
    expect(qkv.from).toEqual(
      ['query', 'key', 'value'].map((part) => `vit.encoder.layer.1.attention.attention.${part}.bias`),
    )
  })
})

describe('what else the configurations of a classifier say', () => {
  /** A fixture's folder with other configurations. */
  const folderOf = (from: string, config: object, preprocessor: object | null = null): string => {
    const dir = mkdtempSync(join(work, 'configured-'))
    cpSync(join(fixtures, from), dir, { recursive: true })
    writeFileSync(join(dir, 'config.json'), JSON.stringify(config))
    if (preprocessor) writeFileSync(join(dir, 'preprocessor_config.json'), JSON.stringify(preprocessor))
    return dir
  }
  const read = (from: string) =>
    importWeights({
      from,
      out: join(work, `${count++}.safetensors`),
      set: ['model.heads=2', 'train.threads=1'],
    })
  const jsonOf = (path: string) => JSON.parse(readFileSync(join(fixtures, path), 'utf8'))
  const huggingface = jsonOf('huggingface-vit/config.json')

  it('classes that do not exclude each other have probabilities of their own, wherever they are asked for', async () => {
    const dir = folderOf('huggingface-vit', {
      ...huggingface,
      problem_type: 'multi_label_classification',
      layer_norm_eps: 1e-6,
    })
    const { path } = await read(dir)
    const classifier = await openClassifier({ model: path, device: 'cpu' })
    expect(classifier.isMultiLabel).toBe(true)
    const pictures = await twoPictures()
    const found = await classifierLogits(classifier, pictures)
    const [logit] = found.logits
    const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))
    const of = (predictions: ReturnType<typeof predictionsOf>) =>
      predictions[0]!.top.find((guess) => guess.class === 'ant')!.probability
    expect(of(predictionsOf(found))).toBeCloseTo(sigmoid(logit!), 12)
    const out = join(work, `${count++}`)
    const model = await openModel({ model: path, device: 'cpu' }, ['classifier'])
    for await (const { comparisons } of exportOnnx({
      model,
      out,
      graphs: ['classifier'],
      precisions: ['fp32'],
    }))
      expect(comparisons[0]!.largest).toBeLessThan(1e-4)
    const exported = await openOnnxClassifier(join(out, 'classifier.onnx'))
    expect(of(predictionsOf(await onnxLogits(exported, pictures)))).toBeCloseTo(sigmoid(logit!), 5)
    const ones = { values: new Float32Array(108).fill(100), shape: [1, 3, 6, 6] }
    const { logits, probabilities } = await exported.session.run(ones, ['logits', 'probabilities'])
    for (const [i, value] of logits.values.entries())
      expect(probabilities.values[i]).toBeCloseTo(sigmoid(value), 5)
    await exported.session.close()
    await exportHuggingface({ model: path, out: `${out}-hf`, onnx: [] })
    expect(JSON.parse(readFileSync(join(`${out}-hf`, 'config.json'), 'utf8')).problem_type).toBe(
      'multi_label_classification',
    )
    expect((await exportTimm({ model: path, out: `${out}-timm` })).warnings.join()).toMatch(
      /take the sigmoid/,
    )
    const again = await read(`${out}-hf`)
    expect(readFileSync(again.path).equals(readFileSync(path))).toBe(true)
  })

  it('a head of regression is left out', async () => {
    const { classes, rows } = await read(
      folderOf('huggingface-vit', { ...huggingface, problem_type: 'regression' }),
    )
    expect(classes).toBeNull()
    expect(rows.filter(({ why }) => /regression/.test(why)).map(({ name }) => name)).toEqual([
      'classifier.weight',
      'classifier.bias',
    ])
  })

  it('mean and deviation stand at the root of files of older timm', async () => {
    const { model_args, pretrained_cfg } = jsonOf('timm/config.json')
    const flat = { model_args, ...pretrained_cfg, mean: [0.1, 0.2, 0.3], std: [0.4, 0.5, 0.6] }
    const { statistics, notes, config } = await read(folderOf('timm', flat))
    expect(statistics).toEqual({ mean: [0.1, 0.2, 0.3], std: [0.4, 0.5, 0.6] })
    expect([notes, config.model.imageSize]).toEqual([[], [6, 6]])
  })

  it('images that are scaled and not normalised are read so', async () => {
    const plain = { do_normalize: false, image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] }
    const { statistics } = await read(folderOf('huggingface-vit', huggingface, plain))
    expect(statistics).toEqual({ mean: [0, 0, 0], std: [1, 1, 1] })
  })
})

it('ViTMAEForPreTraining of transformers: heads, epsilon, statistics from its configurations', async () => {
  const made = await bring('huggingface-mae')
  expect(made.layout).toBe('huggingface')
  expect(made.config.model).toMatchObject({ heads: 2, layerNormEpsilon: 0.01 })
  expect(decodedConfig(made.config).decoder.heads).toBe(2)
  expect(made.statistics).toEqual({ mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3] })
  expect([made.notes, made.classes]).toEqual([[], null])
  await expectTokens(made.path, 'huggingface-mae.tokens')
  expectPrediction(made.path, 'huggingface-mae')
})

describe('other channels than the file has', () => {
  const bands = 'data.bands=["B2","B3","B4","B8"]'
  const statistics = { mean: [1, 2, 3, 4], std: [1, 1, 1, 1] }
  const arraysOf = (path: string) => readArrays(path).tensors
  const values = (path: string, name: string) => arraysOf(path).get(name)!.data as Float32Array

  it('are refused by the name of the option that makes an embedding of them', async () => {
    const channels = /The file's images have 3 channels, and 4 are asked for: --inflate makes/
    await expect(bring('timm', { set: [bands] })).rejects.toThrow(channels)
    await expect(bring('timm', { set: ['model.channels=4'] })).rejects.toThrow(channels)
    await expect(bring('timm', { base: { data: { bands: ['a', 'b', 'c', 'd'] } } })).rejects.toThrow(channels)
    const set = [...heads, bands, 'model.groups=[["B2","B3"],["B4","B8"]]']
    await expect(bring('timm', { set, statistics, inflate: true })).rejects.toThrow(/groups of bands.*--init/)
  })

  it('get kernels as --init makes them, and the table says so', async () => {
    const plain = await bring('timm')
    const made = await bring('timm', { set: [bands], statistics, inflate: true })
    expect(made.rows.filter(({ status }) => status === 'reshaped')).toEqual([
      {
        ...{ name: 'patch_embed.proj.weight', status: 'reshaped', from: [] },
        why: 'inflated from 3 to 4 channels: 3 have their own, 1 the mean of all',
      },
    ])
    expect(made.config.model.channels).toBe(4)
    expect(made.config.data).toMatchObject({ kind: 'rasters', bands: ['B2', 'B3', 'B4', 'B8'] })
    expect(made.statistics).toEqual(statistics)
    scope(() => {
      const { tensors, inheritance } = inherit(plain.path, objectiveOf(made.config, 'cpu').rows, made.config)
      expect(inheritance.inflated).toContain('patch_embed.proj.weight')
      const kernel = tensors.get('patch_embed.proj.weight')!
      expectClose(values(made.path, 'patch_embed.proj.weight'), kernel, 1e-7)
    })
    await openEncoder({ model: made.path, device: 'cpu' })
  })

  it('move their kernels where only the order is another', async () => {
    const set = ['data.bands=["B2","B3","B4"]']
    const three = { mean: [1, 2, 3], std: [1, 1, 1] }
    const [plain, made] = [
      await bring('timm'),
      await bring('timm', { set, statistics: three, inflate: true }),
    ]
    const [was, now] = [plain, made].map(({ path }) => values(path, 'patch_embed.proj.weight'))
    const at = (kernel: Float32Array, d: number, c: number) => [
      ...kernel.subarray((d * 3 + c) * 4, (d * 3 + c + 1) * 4),
    ]
    for (let d = 0; d < 8; d++)
      expect([0, 1, 2].map((c) => at(now!, d, c))).toEqual([2, 1, 0].map((c) => at(was!, d, c)))
  })

  it('give a decoder that predicts each known band as it did, and grey sums over red, green and blue', async () => {
    const plain = await bring('huggingface-mae')
    const made = await bring('huggingface-mae', { set: [bands], statistics, inflate: true })
    const [was, now] = [plain, made].map(({ path }) => values(path, 'decoder_pred.bias')) // [2·2, channels]
    for (let p = 0; p < 4; p++) {
      const [r, g, b] = was!.subarray(3 * p, 3 * p + 3) as unknown as [number, number, number]
      expectClose(now!.subarray(4 * p, 4 * p + 4), [b, g, r, (r + g + b) / 3], 1e-6)
    }
    const grey = await bring('huggingface-mae', { set: ['model.channels=1'], inflate: true })
    expect(grey.notes.join()).toMatch(/images of these channels were normalised by: taken as ImageNet's/)
    const [kernel, one] = [plain, grey].map(({ path }) => values(path, 'patch_embed.proj.weight'))
    const sum = (d: number, i: number) => [0, 1, 2].reduce((all, c) => all + kernel![(d * 3 + c) * 4 + i]!, 0)
    expectClose(
      one!,
      [...one!.keys()].map((k) => sum(Math.floor(k / 4), k % 4)),
      1e-6,
    )
  })

  it('are not normalised by what photographs were', async () => {
    const set = ['data.bands=["B4","B3","B2"]']
    await expect(bring('timm', { set })).rejects.toThrow(
      /images of these bands are normalised by: give --statistics/,
    )
    const statistics = { mean: [1, 2, 3], std: [1, 1, 1] }
    expect((await bring('timm', { set, statistics })).statistics).toEqual(statistics)
  })
})

describe('weights that differ', () => {
  const { tensors: timm } = readArrays(join(fixtures, 'timm/model.safetensors'))
  /** timm's tensors after a change, alone in a file. */
  const changed = (change: (tensors: Map<string, StoredArray>) => void): string => {
    const tensors = new Map(timm)
    change(tensors)
    const path = join(work, `changed-${count++}.safetensors`)
    writeSafetensors(path, tensors)
    return path
  }
  const one: StoredArray = { dtype: 'float32', shape: [1], data: Float32Array.of(1) }
  const read = (path: string, options: Partial<ImportOptions> = {}) =>
    importWeights({ from: path, out: join(work, 'x.safetensors'), set: ['model.heads=2'], ...options })

  it('are refused with lists, or taken where that is allowed', async () => {
    const path = changed((tensors) => {
      tensors.delete('blocks.0.norm2.bias')
      tensors.set('extra.thing', one)
    })
    await expect(read(path)).rejects.toThrow(
      /missing \(1\): blocks\.0\.norm2\.bias\n {2}unexpected \(1\): extra\.thing\n {2}--allow missing,unexpected/,
    )
    await expect(read(path, { allow: ['unexpected'] })).rejects.toThrow(/missing \(1\)/)
    const { rows, path: out } = await read(path, { allow: ['missing', 'unexpected'] })
    expect(rows.find(({ name }) => name === 'blocks.0.norm2.bias')!.status).toBe('missing')
    expect([...(readArrays(out).tensors.get('blocks.0.norm2.bias')!.data as Float32Array)]).toEqual(
      Array(8).fill(0),
    )
  })

  it.each<[string, (tensors: Map<string, StoredArray>) => void, RegExp]>([
    [
      'another shape',
      (all) => all.set('blocks.0.mlp.fc2.weight', all.get('blocks.0.mlp.fc1.weight')!),
      /of another shape \(1\): blocks\.0\.mlp\.fc2\.weight \[16, 8\], expected \[8, 16\]/,
    ],
    [
      'half a layer scale',
      (all) => all.set('blocks.0.ls1.gamma', one),
      /missing \(1\): blocks\.0\.ls2\.gamma\n {2}of another shape \(1\): blocks\.0\.ls1\.gamma \[1\], expected \[8\]/,
    ],
    ['a distillation token', (all) => all.set('dist_token', one), /distillation token/],
    ['a register of no shape', (all) => all.set('reg_token', one), /unexpected \(1\): reg_token/],
    ['no cls token', (all) => all.delete('cls_token'), /missing \(1\): cls_token/],
    ['no positions', (all) => all.delete('pos_embed'), /missing \(1\): pos_embed/],
    [
      'no embedding of patches',
      (all) => all.delete('patch_embed.proj.weight'),
      /missing \(1\): patch_embed\.proj\.weight/,
    ],
    [
      'no first norm',
      (all) => all.delete('blocks.0.norm1.weight'),
      /missing \(1\): blocks\.0\.norm1\.weight/,
    ],
    [
      'no blocks',
      (all) => {
        for (const name of [...all.keys()]) if (name.startsWith('blocks.')) all.delete(name)
      },
      /of no layout: expected facebookresearch\/mae/,
    ],
    ['a block far away', (all) => all.set('blocks.99999.norm1.bias', one), /a block number 99999/],
    [
      'two models',
      (all) => {
        all.set('vit.embeddings.patch_embeddings.projection.weight', one)
        all.set('vit.encoder.layer.0.layernorm_before.weight', one)
      },
      /more than one model \(timm.*; Hugging Face.* under "vit\."\)/,
    ],
    [
      'whole numbers',
      (all) => all.set('norm.bias', { dtype: 'int64', shape: [8], data: new BigInt64Array(8) }),
      /norm\.bias is int64\[8\], expected floating-point/,
    ],
    [
      'learned positions of no square',
      (all) =>
        all.set('pos_embed', { dtype: 'float32', shape: [1, 7, 8], data: new Float32Array(56).fill(1) }),
      /learned positions of 6 places are no square: .*--grid/,
    ],
  ])('%s is refused', async (_, change, message) => {
    await expect(read(changed(change))).rejects.toThrow(message)
  })

  it('without biases of query, key and value are read where the configuration says so', async () => {
    const dir = mkdtempSync(join(work, 'no-bias-'))
    const tensors = new Map([...timm].filter(([name]) => name !== 'blocks.0.attn.qkv.bias'))
    writeSafetensors(join(dir, 'model.safetensors'), tensors)
    await expect(read(dir)).rejects.toThrow(/missing \(1\): blocks\.0\.attn\.qkv\.bias/)
    const config = (json: object) => writeFileSync(join(dir, 'config.json'), JSON.stringify(json))
    config({ model_args: { qkv_bias: false } })
    const { path, config: made } = await read(dir)
    expect(made.model.qkvBias).toBe('none')
    expect(readArrays(path).tensors.has('blocks.0.attn.qkv.bias')).toBe(false)
    config({ model_args: { qkv_bias: false, act_layer: 'quick_gelu' } })
    expect((await read(dir)).config.model.activation).toBe('quick-gelu')
    config({ model_args: { qkv_bias: false, act_layer: 'hard_swish' } })
    await expect(read(dir)).rejects.toThrow(/activation is "hard_swish".*Expected one of gelu,/)
  })

  it('are read without the prefixes of a training', async () => {
    const path = changed((tensors) => {
      const all = [...tensors]
      tensors.clear()
      for (const [name, tensor] of all) tensors.set(`module._orig_mod.${name}`, tensor)
    })
    const { rows } = await read(path)
    expect(rows.every(({ status }) => status === 'loaded' || status === 'left out')).toBe(true)
  })

  it('take the grid that is given before a square, and say when a square was assumed', async () => {
    const table = Float32Array.from({ length: 136 }, (_, i) => i)
    const path = changed((all) => all.set('pos_embed', { dtype: 'float32', shape: [1, 17, 8], data: table }))
    const assumed = await read(path)
    expect(assumed.config.model.imageSize).toEqual([8, 8])
    expect(assumed.notes.join()).toMatch(/grid of its 16 positions: taken as 4 × 4; --grid gives another/)
    const given = await read(path, { grid: { h: 2, w: 8 } })
    expect(given.config.model.imageSize).toEqual([4, 16])
    expect(given.notes.join()).not.toMatch(/grid/)
    await expect(read(path, { grid: { h: 3, w: 5 } })).rejects.toThrow(
      /17 tokens, expected 15 places \(3 × 5\)/,
    )
  })

  it('take a grid that is no square when it is set', async () => {
    const table = Float32Array.from({ length: 56 }, (_, i) => i)
    const path = changed((all) => all.set('pos_embed', { dtype: 'float32', shape: [1, 7, 8], data: table }))
    const { config, rows } = await read(path, { set: ['model.heads=2', 'model.imageSize=[4,6]'] })
    expect(config.model.imageSize).toEqual([4, 6])
    expect(rows.find(({ name }) => name === 'pos_embed')!.status).toBe('loaded')
  })

  it('of this program are refused: they need no import', async () => {
    const { path } = await bring('timm')
    await expect(read(path)).rejects.toThrow(/is a file of sherd/)
  })

  it('say which file it is, and leave nothing behind', async () => {
    const path = join(work, 'nothing.pth')
    writeFileSync(path, 'hello there')
    await expect(read(path)).rejects.toThrow(/nothing\.pth cannot be read as a PyTorch file/)
    await expect(read(join(work, 'absent.pth'))).rejects.toThrow(/absent\.pth does not exist/)
    await expect(read(path, { out: 'x.npy' })).rejects.toThrow(/ends in \.safetensors/)
    expect(() => readFileSync(join(work, 'x.npy'))).toThrow()
  })
})
