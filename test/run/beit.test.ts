/** Runs of BEiT and BEiT v2 on the codes of a tokenizer: trained, resumed, evaluated, exported; and what does not fit. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openRun, runPaths } from '../../src/checkpoint/run-folder.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { type EvaluateOptions, judge } from '../../src/evaluate/evaluate.ts'
import { findSplit } from '../../src/evaluate/evaluation-data.ts'
import { sweeps } from '../../src/evaluate/linear-probe.ts'
import { openImages } from '../../src/evaluate/open-images.ts'
import { exportHuggingface } from '../../src/export/export-huggingface.ts'
import { exportOnnx } from '../../src/export/export-onnx.ts'
import { openModel } from '../../src/export/model-parts.ts'
import { onnxFeatures, openOnnxEncoder } from '../../src/infer/onnx-encoder.ts'
import { readMetrics } from '../../src/run/journal.ts'
import { openSource } from '../../src/source/open.ts'
import { toFloats } from '../../src/tensor/tensor.ts'
import { featuresOfSource } from '../../src/weights/folder-features.ts'
import { loadModel } from '../../src/weights/load-model.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { expectClose } from '../tolerance.ts'
import { run, sampleFolder, tinyModel, workFolder } from './tiny.ts'

const place = async (name: string) => join(await workFolder(), name)
async function tokenizer(name: string, over: ConfigInput = {}): Promise<string> {
  const out = await place(name)
  const config = resolveConfig({
    objective: 'vq-pixels',
    train: { batchSize: 8, steps: 1, threads: 1, ...over.train },
    model: { imageSize: 16, patchSize: 4, width: 8, depth: 1, ...over.model },
    codebook: { size: 16, width: 4, decoderDepth: 1, ...over.codebook },
  })
  await run({ config, data, out })
  return out
}

let data = ''
let codes = ''
beforeAll(async () => {
  data = await sampleFolder()
  codes = await tokenizer('codes')
})
const configOf = (objective: 'beit' | 'beitv2', over: ConfigInput = {}) =>
  resolveConfig({
    objective,
    optim: { baseLearningRate: 0.02, clipGradientNorm: 3 },
    train: { batchSize: 8, steps: 4, threads: 1 },
    checkpoint: { everySteps: 2 },
    log: { pictureEverySteps: 4 },
    ...over,
    model: { ...tinyModel, depth: 2, ...over.model },
    target: { tokenizer: codes, ...over.target },
  })
const weights = (out: string) => readFileSync(join(openRun(out).latest!.path, 'model.safetensors'))
const features = async (model: string) => {
  const encoder = await openEncoder({ model, device: 'cpu' })
  return featuresOfSource(encoder, await openSource(data, null), {})
}

describe.each([
  ['beit', ['codes'], ['accuracy']],
  ['beitv2', ['codes', 'early-codes'], ['accuracy', 'early-accuracy']],
] as const)('%s', (objective, parts, metrics) => {
  let out = ''
  beforeAll(async () => {
    out = await place('straight')
    await run({ config: configOf(objective), data, out })
  })

  it('trains, and resumes bit for bit', async () => {
    const stopped = await place('stopped')
    const config = configOf(objective)
    await run({ config, data, out: stopped }, (event) => event.kind === 'checkpoint' && event.step === 2)
    await run({ config, data, out: stopped, resume: true })
    expect(weights(stopped).equals(weights(out))).toBe(true)
    const { config: stored, facts } = openRun(out)
    expect(stored).toMatchObject({ target: { kind: 'codes', tokenizer: codes, codes: 16 } })
    expect(facts.frozen?.['target.tokenizer']).toMatch(/^[0-9a-f]{64}$/)
    const lines = readMetrics(runPaths(out).metrics) as never as Record<string, Record<string, number>>[]
    expect(lines.length).toBe(4)
    for (const line of lines) {
      // A loss of one part is written once.
      const all = line.parts ?? { codes: line.loss as never as number }
      expect(Object.keys(all)).toEqual(parts)
      expect(Object.keys(line.metrics!)).toEqual(metrics)
      const sum = Object.values(all).reduce((a, b) => a + b, 0)
      expect(line.loss).toBeCloseTo(sum, 5)
    }
    const [{ loss }] = lines as never as readonly [{ loss: number }]
    expect(loss / parts.length).toBeCloseTo(Math.log(16), 1) // nothing is learned yet
    expect(existsSync(join(out, 'samples', 'step-00000004.png'))).toBe(true)
  })

  it('gives its encoder to evaluation, ONNX and transformers, which agree', async () => {
    const encoder = await openEncoder({ model: out, device: 'cpu' })
    const model = await loadModel(out, 'cpu')
    for (const [name, x] of encoder.parameters)
      expect([name, toFloats(x)]).toEqual([name, toFloats(model.parameters.get(name)!)])
    expect([...encoder.parameters.keys()].filter((name) => /mask_token|^cls_pt|^decoder/.test(name))).toEqual(
      [],
    )

    const opened = await openImages({ encoder, data: findSplit(data) })
    const settings: EvaluateOptions['settings'] = {
      ...{ neighbours: [20], temperature: 0.07, shots: [], optimizer: 'lars' as const, epochs: 2 },
      ...{ baseLearningRates: sweeps.lars.slice(0, 1), batchSize: 32 },
    }
    for (const protocol of ['knn', 'linear'] as const) {
      const { rows } = await judge(opened, { protocol, settings, seeds: [0] })
      expect(rows.length).toBeGreaterThan(0)
    }

    const own = (await features(out)).features.of.get('mean')!.values
    const folder = await place('onnx')
    const opening = await openModel({ model: out, device: 'cpu' }, ['encoder'])
    for await (const { file } of exportOnnx({
      ...{ model: opening, out: folder, graphs: ['encoder'], precisions: ['fp32'] },
    })) {
      const graph = await openOnnxEncoder(file, { threads: 1 })
      const made = await onnxFeatures(graph, data)
      await graph.session.close()
      expectClose(made.features.of.get('mean')!.values, own, 2e-4)
    }
    const hugging = await place('huggingface')
    expect(await exportHuggingface({ model: out, out: hugging, onnx: [] })).toMatchObject({
      architecture: 'BeitModel',
    })
    expectClose((await features(hugging)).features.of.get('mean')!.values, own, 2e-5)
  })

  it('begins a masked autoencoder, which takes its encoder', async () => {
    const next = await place('next')
    const { positions, relativePositions, qkvBias, layerScale } = configOf(objective).model
    const config = resolveConfig({
      model: { ...tinyModel, depth: 2, positions, relativePositions, qkvBias, layerScale },
      ...{ decoder: { width: 16, depth: 1, heads: 2 }, train: { batchSize: 8, steps: 1, threads: 1 } },
    })
    const events = await run({ config, data, out: next, init: out })
    const { unused } = events.find((event) => event.kind === 'inherited')!
    expect(unused.filter((name) => !/^(mask_token|decoder_pred\.|cls_pt_)/.test(name))).toEqual([])
  })
})

describe('a tokenizer that does not fit', () => {
  it('is refused when a run begins, and leaves no folder', async () => {
    const out = await place('refused')
    const grid = await tokenizer('grid', { model: { patchSize: 8 } })
    const grey = await tokenizer('grey', { model: { channels: 1 } })
    for (const [wrong, message] of [
      [
        configOf('beit', { target: { tokenizer: grid } }),
        /gives codes of 2 × 2 patches, and the model has 4 × 4/,
      ],
      [configOf('beit', { target: { tokenizer: grey } }), /was trained on 1 channels, and this run has 3/],
      [
        configOf('beit', { model: { imageSize: 24 } }),
        /takes images of 16 × 16 pixels, and model\.imageSize is 24/,
      ],
      [configOf('beit', { target: { codes: 32 } }), /target\.codes is 32, and .* has 16 codes/],
      [configOf('beit', { target: { tokenizer: join(out, 'none') } }), /none/],
    ] as const) {
      await expect(run({ config: wrong, data, out })).rejects.toThrow(message)
      expect(existsSync(out)).toBe(false)
    }
  })

  it('is refused when a run is resumed: other weights, another number of codes', async () => {
    const out = await place('begun')
    const stop = { train: { batchSize: 8, steps: 1, threads: 1 } }
    await run({ config: configOf('beit', stop), data, out })
    const longer = (target: string) =>
      configOf('beit', { train: { ...stop.train, steps: 2 }, target: { tokenizer: target } })
    const other = await tokenizer('other', { train: { seed: 1 } })
    const larger = await tokenizer('larger', { codebook: { size: 32 } })
    await expect(run({ config: longer(other), data, out, resume: true })).rejects.toThrow(
      /^target\.tokenizer has other weights.*name their file by --set target\.tokenizer=PATH, or start a new run/,
    )
    await expect(run({ config: longer(larger), data, out, resume: true })).rejects.toThrow(/target\.codes/)
    await run({ config: longer(codes), data, out, resume: true })
    expect(openRun(out).latest?.step).toBe(2)
  })
})
