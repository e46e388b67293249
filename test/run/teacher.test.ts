/** Runs whose target is what a teacher sees that follows the model, data2vec and I-JEPA: trained, resumed, begun from each other, read and exported. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openRun, runPaths } from '../../src/checkpoint/run-folder.ts'
import { readSafetensors } from '../../src/checkpoint/safetensors.ts'
import { alone } from '../../src/collective/collective.ts'
import { objectiveOf } from '../../src/config/assemble.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { finetune } from '../../src/evaluate/finetune.ts'
import { finetuneDefaults } from '../../src/evaluate/finetune-settings.ts'
import { openImages } from '../../src/evaluate/open-images.ts'
import { exportHuggingface } from '../../src/export/export-huggingface.ts'
import { exportOnnx } from '../../src/export/export-onnx.ts'
import { exportTimm } from '../../src/export/export-timm.ts'
import { openModel } from '../../src/export/model-parts.ts'
import { onnxFeatures, openOnnxEncoder } from '../../src/infer/onnx-encoder.ts'
import { lookAt } from '../../src/look/look.ts'
import { initialParameters, weightsOf } from '../../src/model/parameters.ts'
import { allRows } from '../../src/objective/averages.ts'
import { toView } from '../../src/prepare/normalize.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { raiseAlarms } from '../../src/run/consumers/alarms.ts'
import { readMetrics } from '../../src/run/journal.ts'
import { loadExhibit } from '../../src/run/pictures.ts'
import { openEmbedder } from '../../src/search/embedder.ts'
import { openSource } from '../../src/source/open.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { meanOver, narrow, zeros } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item, type Tensor, tensor, toFloats } from '../../src/tensor/tensor.ts'
import { metricRows } from '../../src/train/metrics.ts'
import { featuresOfSource } from '../../src/weights/folder-features.ts'
import { openFrozenModel } from '../../src/weights/frozen-model.ts'
import { type OpenedEncoder, openEncoder } from '../../src/weights/open-encoder.ts'
import { bodyOf, exportTiny, startServer } from '../serve/make-served.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'
import { hasLayouts, layouts } from '../weights/pipelines.ts'
import { run, sampleFolder, tinyModel, workFolder } from './tiny.ts'

const place = async (name: string) => join(await workFolder(), name)
let data = ''
beforeAll(async () => {
  data = await sampleFolder()
})
const forms = {
  data2vec: { target: { layers: [0, 1], momentum: 0.5, finalMomentum: 0.9 } },
  ijepa: {
    blocks: { targets: 2, minKeep: 2 },
    predictor: { width: 16, depth: 1, heads: 2 },
    teacher: { momentum: 0.5, finalMomentum: 0.9 },
  },
} as const satisfies Record<string, ConfigInput>
const configOf = (objective: keyof typeof forms, over: ConfigInput = {}) =>
  resolveConfig({
    ...{ objective, ...forms[objective] },
    optim: { baseLearningRate: 0.02 },
    train: { batchSize: 8, steps: 4, threads: 1 },
    checkpoint: { everySteps: 2 },
    log: { pictureEverySteps: 4 },
    ...over,
    model: { ...tinyModel, depth: 2 },
  } as ConfigInput)
const weightsPath = (out: string) => join(openRun(out).latest!.path, 'model.safetensors')
const weights = (out: string) => readFileSync(weightsPath(out))
/** Numbers of a checkpoint. */
const stored = (out: string, name: string) =>
  scope(() => numbers(readSafetensors(weightsPath(out)).tensors.get(name)!))

/** What a run would warn of, whose every step has the metrics of this one. */
const warningsOf = (objective: keyof typeof forms, isCollapsed: boolean) => {
  const config = configOf(objective)
  const made = objectiveOf(config, 'cpu')
  const rows = allRows(made)
  const parameters = new Map(initialParameters(rows, { seed: 1, device: 'cpu' }))
  if (isCollapsed) {
    const embedding = 'teacher.patch_embed.proj.weight' // every image is the same to it
    parameters.set(embedding, zeros(parameters.get(embedding)!.shape))
  }
  const weights = weightsOf(parameters)
  const samples = { epochs: new Int32Array(4), indices: [0, 1, 2, 3] }
  const at = { seed: 1, step: 0, epoch: 0, firstRow: 0, rows: 4, samples, value: {}, collective: alone }
  const image = viewOf(
    tensor(Array.from({ length: 4 }, (_, b) => wave(3 * 16 * 16, b)).flat(), [4, 3, 16, 16]),
  )
  const said = noGrad(() =>
    made.loss(weights, { image }, made.plan(at as never, { image }, weights), at as never),
  )
  const metrics = Object.fromEntries(Object.entries(said.metrics!).map(([name, x]) => [name, item(x)]))
  const warning = (message: string) => ({ kind: 'warning', message }) as const
  const { on } = raiseAlarms({ metrics: metricRows(made), warning })
  const steps = Array.from({ length: 120 }, (_, i) => ({ kind: 'step', step: i + 1, metrics }) as never)
  return { metrics, warned: steps.flatMap((event) => on!(event) as readonly { message: string }[]) }
}

describe.each(['data2vec', 'ijepa'] as const)('the alarm of %s', (objective) => {
  it('sounds once where the teacher says the same of all images', () => {
    const { metrics, warned } = warningsOf(objective, true)
    expect(metrics.targetDeviation).toBeLessThan(1e-6)
    expect(warned.map(({ message }) => message)).toEqual([
      expect.stringMatching(
        /^Step 100: targetDeviation is \S+, below 0\.05 for 100 steps\. The teacher says/,
      ),
    ])
  })

  it('does not sound in the first steps, where predictions may be alike', () => {
    const { metrics, warned } = warningsOf(objective, false)
    expect(metrics.targetDeviation).toBeGreaterThan(0.1)
    if (objective === 'data2vec') expect(metrics.predictionDeviation).toBeLessThan(0.01)
    expect(warned).toEqual([])
  })
})

describe.each([
  ['data2vec', ''],
  ['ijepa', 'teacher.'],
] as const)('%s', (objective, prefix) => {
  let out = ''
  beforeAll(async () => {
    out = await place('straight')
    await run({ config: configOf(objective), data, out })
  })

  it('trains, logs its momentum and the signs of a collapse, and resumes bit for bit', async () => {
    const stopped = await place('stopped')
    const config = configOf(objective)
    await run({ config, data, out: stopped }, (event) => event.kind === 'checkpoint' && event.step === 2)
    await run({ config, data, out: stopped, resume: true })
    expect(weights(stopped).equals(weights(out))).toBe(true)
    const lines = readMetrics(runPaths(out).metrics) as never as Record<string, Record<string, number>>[]
    expectClose(
      lines.map(({ schedules }) => schedules!.momentum!),
      [0.5, 0.6, 0.7, 0.8],
      1e-9,
    )
    for (const { metrics } of lines) {
      expect(Object.keys(metrics!)).toEqual(['targetDeviation', 'predictionDeviation', 'lossOfMean'])
      // At first hidden tokens of data2vec may all be alike: tables of relative positions begin at 0.
      expect(Object.values(metrics!).every((value) => value >= 0)).toBe(true)
      expect(metrics!.targetDeviation).toBeGreaterThan(0)
    }
  })

  it('gives the encoder that is kept to whatever reads one, and to ONNX', async () => {
    const encoder = await openEncoder({ model: out, device: 'cpu' })
    const name = 'blocks.1.mlp.fc2.weight'
    expect(stored(out, `teacher.${name}`)).not.toEqual(stored(out, name))
    expect([...toFloats(encoder.parameters.get(name)!)]).toEqual(stored(out, prefix + name))
    const own = (await featuresOfSource(encoder, await openSource(data, null), {})).features.of.get(
      'mean',
    )!.values
    for await (const { file } of exportOnnx({
      model: await openModel({ model: out, device: 'cpu' }, ['encoder']),
      ...{ out: await place('onnx'), graphs: ['encoder'], precisions: ['fp32'] },
    })) {
      const graph = await openOnnxEncoder(file, { threads: 1 })
      const made = await onnxFeatures(graph, data)
      await graph.session.close()
      expectClose(made.features.of.get('mean')!.values, own, 2e-4)
    }
  })

  it('begins from an encoder with a teacher that is a copy of it', async () => {
    const begun = await place('begun')
    const config = configOf(objective, {
      train: { batchSize: 8, steps: 1, threads: 1 },
      // Nothing moves.
      optim: { baseLearningRate: 1e-30, weightDecay: 0 },
    })
    await run({ config, data, out: begun, init: out })
    const name = 'blocks.1.mlp.fc2.weight'
    expect(stored(begun, name)).toEqual(stored(out, prefix + name))
    expectClose(stored(begun, `teacher.${name}`), stored(begun, name), 1e-7)
  })
})

describe('the encoder that I-JEPA keeps', () => {
  let out = ''
  let own: Float32Array
  let reference: OpenedEncoder
  const into = async (name: string, write: (folder: string) => Promise<unknown>) => {
    const folder = await place(name)
    await write(folder)
    return folder
  }
  const features = async (model: string) =>
    (await (await openEmbedder(model)).features(await openSource(data, null), {})).features.of.get('mean')!
      .values
  beforeAll(async () => {
    out = await place('kept')
    const config = configOf('ijepa', { train: { batchSize: 8, steps: 4, threads: 1, precision: 'fp32' } })
    await run({ config, data, out })
    const parameters = new Map<string, Tensor>()
    const { tensors } = readSafetensors(weightsPath(out))
    for (const [name, x] of tensors)
      if (name.startsWith('teacher.')) parameters.set(name.slice('teacher.'.length), x)
    // By its name in the file, beside what opens models.
    const encoder = { ...(await openEncoder({ model: out, device: 'cpu' })), parameters }
    reference = encoder
    own = (await featuresOfSource(encoder, await openSource(data, null), {})).features.of.get('mean')!.values
    const student = {
      ...encoder,
      parameters: new Map([...parameters.keys()].map((name) => [name, tensors.get(name)!])),
    }
    const of = (await featuresOfSource(student, await openSource(data, null), {})).features.of.get(
      'mean',
    )!.values
    expect(Math.max(...of.map((x, i) => Math.abs(x - own[i]!)))).toBeGreaterThan(1e-3)
  })

  it.each<[string, () => Promise<string>]>([
    ['a run', async () => out],
    ['a checkpoint', async () => openRun(out).latest!.path],
    ['a file of weights', async () => weightsPath(out)],
    ['a folder of timm', async () => into('timm', (folder) => exportTimm({ model: out, out: folder }))],
    [
      'a folder of transformers',
      async () => into('hf', (folder) => exportHuggingface({ model: out, out: folder, onnx: [] })),
    ],
  ])('is the same to %s', async (_, model) => {
    expectClose(await features(await model()), own, 1e-5)
  })

  it('is the same as a graph, and behind a server', async () => {
    const model = await openModel({ model: out, device: 'cpu' }, ['encoder'])
    const folder = await exportTiny(model, ['encoder'])
    expectClose(await features(join(folder, 'encoder.onnx')), own, 1e-5)
    const server = await startServer({ model: folder })
    const first = (await openSource(data, null)).files[0]!
    const response = await fetch(
      `${server.url}/v1/embed?pool=mean`,
      bodyOf(readFileSync(join(data, first)), 'image/png'),
    )
    const { results } = (await response.json()) as { results: [{ embedding: number[] }] }
    expectClose(results[0].embedding, own.slice(0, results[0].embedding.length), 1e-5)
  })

  it('is the same to evaluations, to fine-tuning of a head, and where it is looked at', async () => {
    const encoder = await openEncoder({ model: out, device: 'cpu' })
    const images = { train: data, test: null }
    const { train } = await openImages({ encoder, data: images })
    expectClose(train.features.of.get('mean')!.values, own, 1e-5)
    const save = await place('classifier.safetensors')
    await finetune({
      ...{ encoder, data: images, seeds: [0], fromScratch: false, save, validation: { share: 0.25 } },
      settings: { ...finetuneDefaults, epochs: 1, warmupEpochs: 0, batchSize: 16, blocks: 0 },
      signal: new AbortController().signal,
    })
    scope(() => {
      const { tensors } = readSafetensors(save) // its head has a norm of its own
      for (const [name, x] of reference.parameters)
        if (!name.startsWith('norm.')) expect([name, numbers(tensors.get(name)!)]).toEqual([name, numbers(x)])
    })
    const exhibit = await loadExhibit(configOf('ijepa'), await openSource(data, null), 2)
    const [seen, wanted] = [await lookAt(encoder, exhibit), await lookAt(reference, exhibit)]
    for (const [i, { similarity }] of seen.images.entries())
      expectClose(similarity, [...wanted.images[i]!.similarity], 1e-5)
  })

  it('is the same as a target', async () => {
    const config = configOf('ijepa')
    const machine = { device: 'cpu', precision: 'float32', threads: 1 } as const
    const encoder = await openEncoder({ model: out, device: 'cpu' })
    const { statistics } = encoder
    const teacher = await openFrozenModel(out, { config, statistics, machine })
    const exhibit = await loadExhibit(config, await openSource(data, null), 2)
    scope(() => {
      const [tokens] = teacher.features(toView(exhibit, statistics, 'cpu'), null)
      exhibit.indices.forEach((index, i) => {
        const mean = numbers(meanOver(narrow(tokens!, 0, i, 1), [1]))
        expectClose(mean, own.slice(index * mean.length, (index + 1) * mean.length), 1e-5)
      })
    })
  })
})

const newIn = { ijepa: ['predictor'], data2vec: ['mask_token', 'norm', 'decoder_pred'] }
describe.skipIf(!hasLayouts)('a published encoder (skipped where ../shared is not)', () => {
  it.each<[keyof typeof forms, string, ConfigInput['model']]>([
    [
      'ijepa',
      'ijepa',
      { imageSize: 28, patchSize: 7, heads: 4, positions: 'learned', layerNormEpsilon: 1e-6 },
    ],
    [
      'data2vec',
      'data2vec-vision',
      { imageSize: 32, patchSize: 8, heads: 4, relativePositions: 'both', layerNormEpsilon: 1e-12 },
    ],
  ])('begins %s, student and teacher alike', async (objective, layout, model) => {
    const begun = await place(`of-${layout}`)
    const donor = join(layouts, layout)
    const config = resolveConfig({
      ...{ objective, ...forms[objective] },
      model: { ...tinyModel, depth: 2, ...model },
      train: { batchSize: 8, steps: 1, threads: 1, precision: 'fp32' },
      optim: { baseLearningRate: 1e-30, weightDecay: 0 },
    } as ConfigInput)
    const events = await run({ config, data, out: begun, init: donor })
    const { loaded, fresh } = events.find((event) => event.kind === 'inherited')!
    const given = (await openEncoder({ model: donor, device: 'cpu' })).parameters
    // data2vec norms the mean of its tokens there, which no student does.
    const parameters = new Map([...given].filter(([name]) => !name.startsWith('fc_norm.')))
    expect([...loaded].sort()).toEqual([...parameters.keys()].sort())
    for (const [name, x] of parameters) {
      const values = numbers(x)
      expect(stored(begun, name)).toEqual(values)
      expectClose(stored(begun, `teacher.${name}`), values, 1e-7)
    }
    expect(new Set(fresh.map(({ name }) => name.split('.')[0]))).toEqual(new Set(newIn[objective]))
  })
})
