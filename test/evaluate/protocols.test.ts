import { describe, expect, it } from 'vitest'
import {
  type ProtocolName,
  type ProtocolSettings,
  protocols,
  type Split,
} from '../../src/evaluate/protocols.ts'
import { scoresOf } from '../../src/evaluate/scores.ts'
import { clusters, shuffled } from './toy-sets.ts'

const CLASSES = 4
const names = ['a', 'b', 'c', 'd']
const settings: ProtocolSettings = {
  ...{ classes: CLASSES, device: 'cpu', neighbours: [1, 5], temperature: 0.07 },
  ...{ optimizer: 'lars', baseLearningRates: [30, 100], epochs: 90, batchSize: 64 },
  shots: [{ perClass: 2 }, { share: 0.5 }],
}

/** Both poolings see the same vectors. */
const split = (isShuffled = false): Split => {
  const train = clusters(120, CLASSES, 1)
  const own = { train: isShuffled ? shuffled(train, CLASSES) : train, test: clusters(200, CLASSES, 2) }
  return new Map([
    ['cls', own],
    ['mean', own],
  ])
}

/** Every setting, with its values. */
async function run(name: ProtocolName, own: Split, over: ProtocolSettings = settings, seed = 0) {
  const made = []
  for (const { group, pooling, run } of protocols[name].fits([...own.keys()], over))
    for (const outcome of await run(own.get(pooling)!, seed)) made.push({ group, pooling, ...outcome })
  return made
}

const ways: Record<ProtocolName, readonly string[]> = {
  knn: [' cls k = 1', ' cls k = 5', ' mean k = 1', ' mean k = 5'],
  linear: [' cls base rate 30', ' cls base rate 100', ' mean base rate 30', ' mean base rate 100'],
  fewshot: ['2 per class', '50 %'].flatMap((group) =>
    ['cls', 'mean'].flatMap((pooling) => [30, 100].map((rate) => `${group} ${pooling} base rate ${rate}`)),
  ),
}

describe.each(Object.keys(protocols) as ProtocolName[])('%s', (name) => {
  const accuracies = async (isShuffled: boolean) =>
    (await run(name, split(isShuffled))).map(
      ({ values }) => scoresOf(values, split().get('cls')!.test.labels, names).top1,
    )

  it('tries every way, and reaches 100 % where clusters lie apart', async () => {
    const outcomes = await run(name, split())
    expect(outcomes.map(({ group, pooling, setting }) => `${group} ${pooling} ${setting}`)).toEqual(
      ways[name],
    )
    expect(Math.max(...(await accuracies(false)))).toBe(1)
  })

  it('stays near chance with labels that mean nothing', async () => {
    for (const accuracy of await accuracies(true)) expect(accuracy).toBeLessThan(0.6)
  })

  it(`${protocols[name].isRandom ? 'draws' : 'draws nothing'} from its seed`, async () => {
    const values = async (seed: number) => (await run(name, split(), settings, seed))[0]!.values.join()
    expect(await values(3)).toBe(await values(3))
    expect((await values(4)) === (await values(3))).toBe(!protocols[name].isRandom)
  })
})

it('knn leaves out more neighbours than there are images, and refuses where no number fits', async () => {
  const ways = async (neighbours: number[]) =>
    (await run('knn', split(), { ...settings, neighbours })).map(({ setting }) => setting)
  expect(await ways([5, 120, 121, 200])).toEqual(['k = 5', 'k = 120', 'k = 5', 'k = 120'])
  await expect(ways([121, 200])).rejects.toThrow(
    '200 neighbours were asked for, but there are 120 training images',
  )
})
