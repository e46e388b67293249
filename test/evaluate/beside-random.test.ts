// A report beside chance and beside the same network with random weights.
import { beforeAll, describe, expect, it } from 'vitest'
import { besideRandom, isLearned, randomImages, weakResults } from '../../src/evaluate/beside-random.ts'
import { type EvaluateOptions, judge, type Row } from '../../src/evaluate/evaluate.ts'
import { findSplit } from '../../src/evaluate/evaluation-data.ts'
import { reportMarkdown } from '../../src/evaluate/evaluation-report.ts'
import { type OpenedImages, openImages } from '../../src/evaluate/open-images.ts'
import { liveTensors } from '../../src/tensor/scope.ts'
import { type OpenedEncoder, openEncoder } from '../../src/weights/open-encoder.ts'
import { randomTwin } from '../../src/weights/random-twin.ts'
import { sampleFolder, tinyConfig } from '../run/tiny.ts'

describe('what does not beat them', () => {
  const row = (top1: number, group = ''): Row => {
    const all = { mean: top1, deviation: 0 }
    return {
      ...{ group, pooling: 'mean', setting: 'k = 1', heldOut: null },
      ...{ top1: all, top5: null, meanRecall: all, macroF1: all },
    }
  }
  const data = (testImages: number) => ({ testImages }) as Parameters<typeof weakResults>[0]['data']
  const said = (top1: number, random: number | null, testImages: number, chance = 0.1) =>
    weakResults(
      { rows: [row(top1)], chosen: [0], chance, data: data(testImages) },
      random === null ? null : { rows: [row(random)], chosen: [0] },
    ).map((warning) => /beat (\w+)/.exec(warning)![1])

  // Of 100 images a chance of 10 % is left by 1.96 · √(0.1 · 0.9 / 100) = 5.88 points.
  it.each([
    [0.158, ['always']],
    [0.159, []],
    [0.05, ['always']],
  ])('%s beside chance', (top1, words) => expect(said(top1, null, 100)).toEqual(words))

  // Two shares around 0.5 of 200 images: 1.96 · √(2 · 0.25 / 200) = 9.8 points.
  it.each([
    [0.548, 0.452, ['the']],
    [0.55, 0.45, []],
    [0.4, 0.6, ['the']],
  ])('%s beside %s', (top1, random, words) => expect(said(top1, random, 200)).toEqual(words))

  it('is said of each group with its numbers', () => {
    const report = {
      ...{ rows: [row(0.2, '1 %'), row(0.9, '10 %')], chosen: [0, 1], chance: 0.1, data: data(400) },
    }
    const random = { rows: [row(0.7, '10 %'), row(0.19, '1 %')], chosen: [1, 0] }
    // 1.96 · √(2 · 0.195 · 0.805 / 400) = 5.49 points
    expect(weakResults(report, random)).toEqual([
      '1 %: top-1 of 20.00 % does not beat the same network with random weights, 19.00 %: of 400 test images it has to be 5.49 points higher',
    ])
  })
})

describe('images', () => {
  const settings: EvaluateOptions['settings'] = {
    ...{ neighbours: [5], temperature: 0.07, shots: [], optimizer: 'lars', epochs: 2 },
    ...{ baseLearningRates: [1], batchSize: 64 },
  }
  const options = { protocol: 'knn', settings, seeds: [0] } as const
  const opened = (seed: number) => openEncoder({ model: 'random', config: tinyConfig(), device: 'cpu', seed })
  let encoder: OpenedEncoder
  let data: ReturnType<typeof findSplit>
  let own: OpenedImages
  let random: OpenedImages
  beforeAll(async () => {
    encoder = await opened(5)
    data = findSplit(await sampleFolder())
    own = await openImages({ encoder, data, features: ['mean'] })
    random = await randomImages({ encoder, data, features: ['mean'] })
  })

  it('of the twin are those of the network with random weights of seed 0, which is then let go', async () => {
    const other = await openImages({
      encoder: await opened(0),
      ...{ data, features: ['mean'] },
    })
    expect(random.train.features.of).toEqual(other.train.features.of)
    expect(random.train.features.of).not.toEqual(own.train.features.of)
    const before = liveTensors()
    await randomImages({ encoder, data, features: ['mean'] })
    expect(liveTensors()).toBe(before)
  })

  it('stand in the report', async () => {
    const report = await besideRandom(await judge(own, options), random, options)
    const { rows, chosen } = await judge(random, options)
    expect(report.random).toEqual({ seed: 0, rows, chosen })
    const top1 = (100 * rows[chosen[0]!]!.top1.mean).toFixed(2)
    expect(reportMarkdown(report)).toContain(`- ${top1} % with random weights: mean features, k = 5\n`)
    expect(report.warnings.join()).toContain('does not beat the same network with random weights')
    const without = await besideRandom(await judge(own, options), null, options)
    expect([without.random, reportMarkdown(without).includes('random weights')]).toEqual([null, false])
  })

  it('a twin has the parts of its encoder, and random weights need none', () => {
    const twin = randomTwin(encoder, 3)
    expect([...twin.parameters.keys()].sort()).toEqual([...encoder.parameters.keys()].sort())
    expect([isLearned(encoder), isLearned({ origin: { ...encoder.origin, path: 'a' } })]).toEqual([
      false,
      true,
    ])
  })
})
