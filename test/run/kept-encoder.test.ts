// What is taken from a run of an objective that keeps a part of its weights, here an averaged teacher.
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openRun } from '../../src/checkpoint/run-folder.ts'
import { readSafetensors } from '../../src/checkpoint/safetensors.ts'
import { objectiveOf } from '../../src/config/assemble.ts'
import { type EvaluateOptions, judge } from '../../src/evaluate/evaluate.ts'
import { findSplit } from '../../src/evaluate/evaluation-data.ts'
import { sweeps } from '../../src/evaluate/linear-probe.ts'
import { openImages } from '../../src/evaluate/open-images.ts'
import { openExported } from '../../src/export/exported-model.ts'
import { openModel } from '../../src/export/model-parts.ts'
import type { Parameters } from '../../src/model/parameters.ts'
import { within } from '../../src/model/parameters.ts'
import { learnedPrefix } from '../../src/objective/averages.ts'
import type { ProbeMetric } from '../../src/run/online-probe.ts'
import { openEmbedder } from '../../src/search/embedder.ts'
import { openSource } from '../../src/source/open.ts'
import { scope } from '../../src/tensor/scope.ts'
import { featuresOfSource } from '../../src/weights/folder-features.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { numbers } from '../tolerance.ts'
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
