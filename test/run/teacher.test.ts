/** Runs whose target is what a teacher sees that follows the model, data2vec and I-JEPA: trained, resumed, begun from each other, read and exported. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openRun, runPaths } from '../../src/checkpoint/run-folder.ts'
import { readSafetensors } from '../../src/checkpoint/safetensors.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { exportOnnx } from '../../src/export/export-onnx.ts'
import { openModel } from '../../src/export/model-parts.ts'
import { onnxFeatures, openOnnxEncoder } from '../../src/infer/onnx-encoder.ts'
import { readMetrics } from '../../src/run/journal.ts'
import { openSource } from '../../src/source/open.ts'
import { scope } from '../../src/tensor/scope.ts'
import { toFloats } from '../../src/tensor/tensor.ts'
import { featuresOfSource } from '../../src/weights/folder-features.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { expectClose, numbers } from '../tolerance.ts'
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
