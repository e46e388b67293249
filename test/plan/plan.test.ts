import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { effectiveBatch } from '../../src/config/resolve.ts'
import type { TakeTrial } from '../../src/plan/measure.ts'
import { type PlanOptions, planTraining } from '../../src/plan/plan.ts'
import { trialConfig } from '../../src/plan/take-trial.ts'
import { writeSampleData } from '../../src/sample-data/write-scenes.ts'
import { workFolder } from '../run/tiny.ts'

let data: string
beforeAll(async () => {
  data = join(await workFolder(), 'my photos')
  await writeSampleData({ dir: data, count: 40, size: 64, seed: 1 })
})

/** A machine of known speed: images a second by width of the encoder. */
function machine(rates: Readonly<Record<number, number>>, memory: Readonly<Record<number, number>> = {}) {
  const asked: { preset: string; batchSize: number; width: number; isProbed: boolean }[] = []
  const take: TakeTrial = async ({ config, preset }) => {
    const { width } = config.model
    const batch = effectiveBatch(trialConfig(config))
    const isProbed = config.log.probe !== null
    asked.push({ preset, width, batchSize: config.train.batchSize, isProbed })
    const cost = {
      ...{ open: 10, step: batch / rates[width]!, checkpoint: 1, picture: 1, curve: 1 },
      probe: isProbed ? 2 : 0,
    }
    return {
      ...{ batch, cost, steps: 10, dataWait: 0, peakBytes: memory[width] ?? 1e9 },
      machine: { device: 'cpu', precision: 'float32', threads: 2, decodeThreads: 1 },
    }
  }
  return { take, asked }
}
const plan = (over: Partial<PlanOptions> & Pick<PlanOptions, 'take'>) =>
  planTraining({ data, hours: 1, device: 'cpu', ...over })

describe('planTraining', () => {
  it('measures what the choice depends on, and proposes what fits into the time', async () => {
    const { take, asked } = machine({ 192: 40, 384: 10 })
    const { proposal, larger, faster, advice, data: survey } = await plan({ take })
    expect(survey).toMatchObject({ images: 40, looked: 40, classes: 10 })
    // for 40 images only the smallest is small enough; the next one is timed to be named as larger
    expect(asked.map(({ width }) => width)).toEqual([384, 192])
    expect(proposal).toMatchObject({
      preset: 'mae-tiny-cifar10',
      imageSize: 64,
      patchSize: 8,
      isMeasured: true,
      memoryBytes: 1e9,
    })
    // batches of all 40 images, a second each: 2,000 passes are enough, with 4 checkpoints and 4 pictures, one of each early, a curve every 100 s
    expect(proposal).toMatchObject({ batchSize: 40, accumulate: 1, steps: 2000, epochs: 2000 })
    expect(proposal.hours * 3600).toBeCloseTo(10 + 2000 + 5 + 5 + 21, 6)
    expect(larger).toMatchObject({ preset: 'mae-small-64', epochs: 2000, isMeasured: true })
    // 4 s a step: every 225 of them a checkpoint and a picture, 9 of each, and the early ones
    expect(larger!.hours * 3600).toBeCloseTo(10 + 8000 + 10 + 10 + 81, 6)
    expect(faster).toBeNull()
    expect(advice.join('\n')).toMatch(/^40 different images are too few .*--init FILE\|hf:owner\/name/m)
  })
  it('prints a command that says everything', async () => {
    const { take } = machine({ 192: 40, 384: 10 })
    const { proposal } = await plan({ take, hours: 0.2, like: data, out: 'runs/here' })
    // 720 s: 10, 3 checkpoints, 3 pictures, 3 probes of 2 s, and 7 curves leave 691 steps of one epoch each
    expect(proposal.arguments).toEqual([
      ...['pretrain', 'mae-tiny-cifar10', '--data', data, '--out', 'runs/here', '--epochs', '691'],
      ...['--probe', data, '--device', 'cpu', '--set', 'model.imageSize=64', '--set', 'model.patchSize=8'],
      ...['--set', 'train.batchSize=40'],
    ])
  })
  it('times the probe of the model that is chosen, and of no other', async () => {
    const { take, asked } = machine({ 192: 40, 384: 10 })
    const { proposal, larger } = await plan({ take, like: data })
    expect(asked.map(({ width, isProbed }) => [width, isProbed])).toEqual([
      [384, false],
      [192, false],
      [192, true],
    ])
    // 5 probes of 2 s; of the larger model, which computes a quarter of the images a second, 10 of 8 s
    expect(proposal.hours * 3600).toBeCloseTo(10 + 2000 + 5 + 5 + 21 + 5 * 2, 6)
    expect(larger!.hours * 3600).toBeCloseTo(10 + 8000 + 10 + 10 + 81 + 10 * 8, 6)
  })
  it('halves the batch where memory is short, and gives up with the reason', async () => {
    const { take, asked } = machine({ 192: 40, 384: 10 }, { 192: 1e15, 384: 1e15 })
    await expect(plan({ take })).rejects.toMatchObject({
      code: 'VALUE',
      message: expect.stringMatching(/Not even the smallest model/),
    })
    expect(asked.map(({ batchSize }) => batchSize)).toEqual([40, 20, 10, 5, 40, 20, 10, 5])
  })
  it('refuses a time in which nothing can be learned, and says how long is enough', async () => {
    const { take } = machine({ 192: 40, 384: 10 })
    await expect(plan({ take, hours: 0.02 })).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(
        /^0.02 h are too short for any preset here: .* Give at least --hours 0.04;/,
      ),
    })
  })
  it('has checkpoints every quarter of an hour where steps are slow', async () => {
    const { take } = machine({ 192: 5, 384: 1 }) // 8 s a step: 500 of them are more than an hour
    const { proposal } = await plan({ take, hours: 8 })
    expect(proposal.arguments).toEqual(
      expect.arrayContaining(['checkpoint.everySteps=110', 'log.pictureEverySteps=110']),
    )
  })
  it('takes the preset that is asked for', async () => {
    const { take, asked } = machine({ 128: 100 })
    const { proposal, reasons, faster, larger } = await plan({ take, preset: 'mae-demo' })
    expect(asked).toHaveLength(1)
    expect(proposal).toMatchObject({ preset: 'mae-demo', imageSize: 48 })
    expect(reasons[0]).toMatchObject({ what: 'preset', why: 'as asked for' })
    expect([faster, larger]).toEqual([null, null])
  })
})
