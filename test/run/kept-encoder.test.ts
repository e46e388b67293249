// What is taken from a run of an objective that keeps a part of its weights, here an averaged teacher.
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openRun } from '../../src/checkpoint/run-folder.ts'
import { readSafetensors } from '../../src/checkpoint/safetensors.ts'
import { objectiveOf } from '../../src/config/assemble.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { type EvaluateOptions, judge } from '../../src/evaluate/evaluate.ts'
import { findSplit } from '../../src/evaluate/evaluation-data.ts'
import { sweeps } from '../../src/evaluate/linear-probe.ts'
import { openImages } from '../../src/evaluate/open-images.ts'
import { exportTimm } from '../../src/export/export-timm.ts'
import { openExported } from '../../src/export/exported-model.ts'
import { openModel } from '../../src/export/model-parts.ts'
import type { Parameters } from '../../src/model/parameters.ts'
import { within } from '../../src/model/parameters.ts'
import { learnedPrefix } from '../../src/objective/averages.ts'
import type { Pixels } from '../../src/prepare/pixels.ts'
import type { ProbeMetric } from '../../src/run/online-probe.ts'
import { openEmbedder } from '../../src/search/embedder.ts'
import { openSource } from '../../src/source/open.ts'
import { scope } from '../../src/tensor/scope.ts'
import { featuresOfSource } from '../../src/weights/folder-features.ts'
import { featureSpecs, featuresOfBatch } from '../../src/weights/frozen-encoder.ts'
import { findWeights, openEncoder } from '../../src/weights/open-encoder.ts'
import { expectClose, numbers } from '../tolerance.ts'
import { run, sampleFolder, tinyConfig, workFolder } from './tiny.ts'

/** Masked autoencoding of a student, whose encoder a teacher follows; the teacher is kept. */
const taught: typeof objectiveOf = (config, device) => {
  const own = objectiveOf(config, device)
  return {
    ...own,
    rows: own.rows.map((row) => ({ ...row, name: `student.${row.name}` })),
    averages: [
      {
        ...{ prefix: 'teacher.', from: 'student.', momentum: 0.5, when: 'after-step' },
        of: (name) => !name.startsWith('decoder') && name !== 'mask_token',
      },
    ],
    encoder: { prefix: 'teacher.' },
    loss: (weights, ...given) => own.loss(within(weights, 'student'), ...given),
  }
}

const config = tinyConfig({ train: { steps: 4, precision: 'fp32' }, log: { probeEverySteps: 4 } })
const ENCODER = objectiveOf(config, 'cpu').rows.filter(({ name }) => !/^(decoder|mask_token)/.test(name))
let images: string
let out: string
let probe: ProbeMetric
let kept: Map<string, number[]>
/** Of the latest checkpoint, by the name in the file. */
const storedIn = (dir: string) =>
  scope(() => {
    const { tensors } = readSafetensors(join(openRun(dir).latest!.path, 'model.safetensors'))
    return new Map([...tensors].map(([name, x]) => [name, numbers(x)]))
  })
beforeAll(async () => {
  images = await sampleFolder()
  out = join(await workFolder(), 'run')
  const withProbe = { ...config, log: { ...config.log, probe: images } }
  const events = await run({ config: withProbe, data: images, out, objectiveOf: taught })
  probe = events.find((event): event is ProbeMetric => event.kind === 'probe')!
  const stored = storedIn(out)
  kept = new Map(ENCODER.map(({ name }) => [name, stored.get(`teacher.${name}`)!]))
  expect(kept.get('blocks.0.mlp.fc1.weight')).not.toEqual(stored.get('student.blocks.0.mlp.fc1.weight'))
})
const valuesOf = (parameters: Parameters) => new Map([...parameters].map(([name, x]) => [name, numbers(x)]))

describe('from a run that keeps its teacher', () => {
  it('the encoder is the teacher’s, of the run, its checkpoint and its file', async () => {
    const { path } = openRun(out).latest!
    for (const model of [out, path, join(path, 'model.safetensors')])
      expect(valuesOf((await openEncoder({ model, device: 'cpu' })).parameters)).toEqual(kept)
  })

  it('exports are the teacher’s, as graphs and as arrays of other layouts', async () => {
    expect(valuesOf((await openModel({ model: out, device: 'cpu' }, ['encoder'])).parameters)).toEqual(kept)
    const { arrays, hasDecoder } = await openExported({ model: out })
    expect(new Map([...arrays].map(([name, { data }]) => [name, [...data]]))).toEqual(kept)
    expect(hasDecoder).toBe(false)
  })

  it('the probe and an evaluation look at the same encoder', async () => {
    const encoder = await openEncoder({ model: out, device: 'cpu' })
    const opened = await openImages({ encoder, data: findSplit(images) })
    const settings: EvaluateOptions['settings'] = {
      ...{ neighbours: [20], temperature: 0.07, shots: [], optimizer: 'lars' as const, epochs: 30 },
      ...{ baseLearningRates: sweeps.lars, batchSize: 1024 },
    }
    const { rows, spread } = await judge(opened, { protocol: 'knn', settings, seeds: [0] })
    const top1 = Object.fromEntries(rows.map(({ pooling, top1: { mean } }) => [pooling, mean]))
    expect(probe.knn).toEqual(top1)
    expect(probe.effectiveRank.cls).toBe(spread.cls!.effectiveRank)
  })

  it('vectors of a search are the teacher’s', async () => {
    const embedder = await openEmbedder(out) // a path is enough
    const source = await openSource(images, null)
    const { features } = await embedder.features(source, {})
    const own = await featuresOfSource(await openEncoder({ model: out, device: 'cpu' }), source, {})
    expect(features.of).toEqual(own.features.of)
    expect(features.count).toBe(40)
  })

  it.each<[string, typeof objectiveOf, string]>([
    ['an autoencoder', objectiveOf, ''],
    ['its like, whose student begins as that teacher', taught, 'student.'],
  ])('--init gives the encoder to %s', async (_, objective, prefix) => {
    const next = join(await workFolder(), 'next')
    // The first step of a warm-up has the rate 0.
    const still = { train: { steps: 2 }, optim: { warmupSteps: 1 }, checkpoint: { everySteps: 1 } }
    const events = await run(
      { config: tinyConfig(still), data: images, out: next, init: out, objectiveOf: objective },
      ({ kind }) => kind === 'checkpoint',
    )
    const inherited = events.find((event) => event.kind === 'inherited')!
    expect([...inherited.loaded].sort()).toEqual([...kept.keys()].map((name) => prefix + name).sort())
    expect(inherited.fresh.map(({ name }) => name)).toContain(`${prefix}decoder_embed.weight`)
    expect(inherited.unused).toEqual([])
    const stored = storedIn(next)
    for (const [name, values] of kept) expect(stored.get(prefix + name)).toEqual(values)
  })
})

it('as another program has it, it gives the same features', async () => {
  const folder = join(await workFolder(), 'timm')
  await exportTimm({ model: out, out: folder })
  const pixels: Pixels = {
    pixels: Uint8Array.from({ length: 2 * 16 * 16 * 3 }, (_, i) => (37 * i) % 256),
    shape: [2, 16, 16, 3],
  }
  const featuresOf = async (model: string) => {
    const encoder = await openEncoder({ model, device: 'cpu' })
    return featuresOfBatch(encoder, featureSpecs(encoder, ['cls', 'mean']))(pixels)
  }
  const [own, theirs] = [await featuresOf(out), await featuresOf(folder)]
  for (const [i, each] of own.entries()) expectClose(theirs[i]!, [...each], 1e-6)
})

it('of a file under a prefix all is loaded where all is asked for', async () => {
  const { whole, stored } = await findWeights({ model: out })
  expect([...stored.keys()].sort()).toEqual([...kept.keys()].sort())
  expect([...whole!.stored.keys()].filter((name) => /^(student|teacher)\./.test(name))).toEqual([
    ...whole!.stored.keys(),
  ])
})

describe('a student that is given', () => {
  const lora: ConfigInput['adapt'] = { kind: 'lora', rank: 2, alpha: 8, targets: ['qkv', 'fc2'] }
  const adapted = async (over: ConfigInput) => {
    const next = join(await workFolder(), 'next')
    const train = { steps: 2, precision: 'fp32' } as const
    const events = await run({
      config: tinyConfig({ ...over, train, checkpoint: { everySteps: 1 } }),
      ...{ data: images, out: next, init: out, objectiveOf: taught },
    })
    expect(events.filter(({ kind }) => kind === 'warning')).toEqual([])
    return next
  }

  it('stays as it is for so many steps, and its teacher with it', async () => {
    const stored = storedIn(await adapted({ optim: { freezeEncoderSteps: 2, warmupSteps: 0 } }))
    for (const [name, values] of kept)
      expect([stored.get(`student.${name}`), stored.get(`teacher.${name}`)]).toEqual([values, values])
    expect(stored.get('student.decoder_embed.weight')).toBeDefined()
  })

  it('learns by adapters: the run, and its adapter on what was given, are the teacher’s encoder', async () => {
    const next = await adapted({ adapt: lora, optim: { freezeEncoderSteps: 0, warmupSteps: 0 } })
    const own = valuesOf((await openEncoder({ model: next, device: 'cpu' })).parameters)
    expect(own.get('blocks.0.attn.qkv.weight')).not.toEqual(kept.get('blocks.0.attn.qkv.weight'))
    expect(own.get('blocks.0.mlp.fc1.weight')).toEqual(kept.get('blocks.0.mlp.fc1.weight'))
    const { whole } = await findWeights({ model: next })
    const arrays = await whole!.load((name) => name === 'teacher.blocks.0.attn.qkv.weight')
    expect([...arrays.get('teacher.blocks.0.attn.qkv.weight')!.data]).toEqual(
      own.get('blocks.0.attn.qkv.weight'),
    )
    const folder = await openEncoder({ model: join(next, 'adapter'), device: 'cpu' })
    expect(valuesOf(folder.parameters)).toEqual(own)
  })
})

it('what is learned of the kept encoder is what its average follows', () => {
  const average = { prefix: 'teacher.', from: 'student.', momentum: 0.5, when: 'after-step' } as const
  expect(learnedPrefix({ encoder: { prefix: 'teacher.backbone.' }, averages: [average] })).toBe(
    'student.backbone.',
  )
  expect(learnedPrefix({ encoder: { prefix: 'student.backbone.' }, averages: [average] })).toBe(
    'student.backbone.',
  )
  expect(
    learnedPrefix({ encoder: { prefix: '' }, averages: [{ ...average, prefix: 'early.', from: '' }] }),
  ).toBe('')
})
