import { beforeAll, describe, expect, it } from 'vitest'
import { type FinetuneSettings, finetune, finetuneDefaults } from '../../src/evaluate/finetune.ts'
import { liveTensors } from '../../src/tensor/scope.ts'
import { type OpenedEncoder, openEncoder } from '../../src/weights/open-encoder.ts'
import { colourFolder } from '../run/colour-folder.ts'
import { tinyConfig } from '../run/tiny.ts'

let [train, test, dealt] = ['', '', '']
beforeAll(async () => {
  ;[train, test, dealt] = await Promise.all([
    colourFolder(48, 1),
    colourFolder(30, 2),
    colourFolder(48, 3, true),
  ])
})

const config = tinyConfig({ train: { precision: 'fp32' } })
// Held to the end: an encoder that the collector frees in the middle of a test would be counted there.
const encoders: OpenedEncoder[] = []
function encoderOf(seed: number): OpenedEncoder {
  const opened = openEncoder({ model: 'random', config, device: 'cpu', seed })
  encoders.push(opened)
  return opened
}

const settings: FinetuneSettings = {
  ...finetuneDefaults,
  ...{ epochs: 12, batchSize: 16, baseLearningRate: 0.02, warmupEpochs: 1, randAugment: null },
}
const run = (
  over: Partial<FinetuneSettings> = {},
  more: { data?: string; fromScratch?: boolean; seeds?: number[] } = {},
) =>
  finetune({
    encoder: encoderOf(1),
    data: { train: more.data ?? train, test },
    settings: { ...settings, ...over },
    ...{
      seeds: more.seeds ?? [0],
      fromScratch: more.fromScratch ?? false,
      signal: new AbortController().signal,
    },
  })

describe('fine-tuning', () => {
  it.each([
    ['the whole encoder', {}, false],
    ['the whole encoder, cls token', { head: 'cls' as const }, false],
    ['the last block', { blocks: 1 }, false],
    ['the head alone', { blocks: 0, baseLearningRate: 0.2, mixup: 0, cutmix: 0 }, false],
    ['from scratch', { layerDecay: 1 }, true],
  ])('parts a separable set: %s', async (_, over, fromScratch) => {
    const report = await run(over, { fromScratch })
    expect(report.protocol).toBe(fromScratch ? 'scratch' : 'blocks' in over ? 'partial' : 'finetune')
    expect(report.rows[0]!.top1.mean).toBe(1)
  })

  it('learns nothing of labels that mean nothing', async () => {
    const { rows, chance } = await run({}, { data: dealt })
    expect(chance).toBeCloseTo(1 / 3, 9)
    expect(rows[0]!.top1.mean).toBeLessThan(0.75)
  })

  it('scores averaged weights, too; gives the same for the same seed; leaves no tensor behind', async () => {
    const before = liveTensors()
    const encoder = encoderOf(1)
    const opened = liveTensors()
    const options = {
      ...{ encoder, data: { train, test }, settings: { ...settings, epochs: 2, ema: 0.9, randAugment: 9 } },
      ...{ seeds: [3, 4], fromScratch: false, signal: new AbortController().signal },
    }
    const [once, again] = [await finetune(options), await finetune(options)]
    expect(liveTensors()).toBe(opened)
    expect(once.rows).toEqual(again.rows)
    expect(once.rows.map(({ setting }) => setting)).toEqual(['last weights', 'averaged weights'])
    expect(opened).toBeGreaterThan(before)
  })

  it('begins with the weights of the encoder, and from scratch without them', async () => {
    const losses = async (modelSeed: number, fromScratch: boolean) => {
      const seen: number[] = []
      await finetune({
        encoder: encoderOf(modelSeed),
        ...{
          data: { train, test },
          settings: { ...settings, epochs: 1, warmupEpochs: null },
          seeds: [0],
          fromScratch,
        },
        ...{ signal: new AbortController().signal, onStep: ({ loss }) => void seen.push(loss) },
      })
      return seen
    }
    expect(await losses(1, false)).not.toEqual(await losses(2, false))
    expect(await losses(1, true)).toEqual(await losses(2, true))
  })

  it('warms up for a quarter of a few epochs, and for as long as it is told to', async () => {
    const tuned = async (epochs: number, warmupEpochs: number | null) => {
      const rates: number[] = []
      const notes: string[] = []
      const report = await finetune({
        encoder: encoderOf(1),
        ...{ data: { train, test }, settings: { ...settings, epochs, warmupEpochs }, seeds: [0] },
        ...{ fromScratch: false, signal: new AbortController().signal },
        onStep: ({ learningRate }) => void rates.push(learningRate),
        onNote: (note) => void notes.push(note),
      })
      return { rates, notes, told: report.settings.warmupEpochs }
    }
    const peak = (0.02 * 16) / 256 // three steps of 16 images an epoch
    const three = await tuned(3, null)
    expect(three.rates.slice(0, 3)).toEqual([0, peak / 2, peak]) // ⌊0.75 · 3⌋ steps of warm-up
    expect(three.notes).toEqual([
      expect.stringMatching(/^the warm-up is 0\.75 epochs: the usual 5 are more than/),
    ])
    expect(three.told).toBe(0.75)
    const one = await tuned(1, null)
    expect([one.rates[0], one.notes.length]).toEqual([peak, 1]) // no part of a step
    const kept = await tuned(3, 2)
    expect(kept.rates.indexOf(Math.max(...kept.rates))).toBe(6)
    expect([kept.notes, kept.told]).toEqual([[], 2])
    await expect(tuned(3, 3)).rejects.toThrow('A warm-up of 3 epochs covers all 3 of them')
  })

  it('refuses more blocks than there are, and stops when it is told to', async () => {
    await expect(run({ blocks: 2 })).rejects.toThrow('Expected 0 to 1 blocks to learn, got 2.')
    const abort = new AbortController()
    const stopped = finetune({
      encoder: encoderOf(1),
      ...{ data: { train, test }, settings, seeds: [0, 1], fromScratch: false, signal: abort.signal },
      onStep: () => abort.abort(),
    })
    await expect(stopped).rejects.toThrow(/interrupted/)
  })
})
