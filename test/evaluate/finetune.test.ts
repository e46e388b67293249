import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { finetune } from '../../src/evaluate/finetune.ts'
import {
  type FinetuneOptions,
  type FinetuneSettings,
  finetuneDefaults,
} from '../../src/evaluate/finetune-settings.ts'
import type { CacheKind } from '../../src/prepare/cache/caches.ts'
import { liveTensors } from '../../src/tensor/scope.ts'
import { findWeights, type OpenedEncoder, openEncoder } from '../../src/weights/open-encoder.ts'
import { folderOfFile } from '../after-file.ts'
import { colourFolder } from '../run/colour-folder.ts'
import { tinyConfig, workFolder } from '../run/tiny.ts'

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
async function encoderOf(seed: number): Promise<OpenedEncoder> {
  const opened = await openEncoder({ model: 'random', config, device: 'cpu', seed })
  encoders.push(opened)
  return opened
}

const settings: FinetuneSettings = {
  ...finetuneDefaults,
  ...{ epochs: 12, batchSize: 16, baseLearningRate: 0.02, warmupEpochs: 1, randAugment: null },
}
const run = async (
  over: Partial<FinetuneSettings> = {},
  more: { data?: string; fromScratch?: boolean; seeds?: number[] } = {},
) =>
  finetune({
    encoder: await encoderOf(1),
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

  it('takes one size of images that keep their shape elsewhere, and says so', async () => {
    const own = tinyConfig({ data: { resize: 'patches', maxPatches: 9 }, train: { precision: 'fp32' } })
    const encoder = await openEncoder({ model: 'random', config: own, device: 'cpu', seed: 1 })
    encoders.push(encoder)
    const [notes, save] = [[] as string[], join(await workFolder(), 'classifier.safetensors')]
    await finetune({
      ...{ encoder, data: { train, test }, settings: { ...settings, epochs: 2, blocks: 0 }, seeds: [0] },
      ...{ fromScratch: false, signal: new AbortController().signal, save },
      onNote: (note) => notes.push(note),
    })
    expect(notes[0]).toMatch(/^images do not keep their shape here: crops of 16 × 16 pixels/)
    expect((await findWeights({ model: save })).config.data).toMatchObject({ resize: 'squash' })
  })

  it('learns nothing of labels that mean nothing', async () => {
    const { rows, chance } = await run({}, { data: dealt })
    expect(chance).toBeCloseTo(1 / 3, 9)
    expect(rows[0]!.top1.mean).toBeLessThan(0.75)
  })

  it('scores averaged weights, too; gives the same for the same seed, from memory, too; leaves no tensor behind', async () => {
    const before = liveTensors()
    const encoder = await encoderOf(1)
    const opened = liveTensors()
    const options = {
      ...{ encoder, data: { train, test }, settings: { ...settings, epochs: 2, ema: 0.9, randAugment: 9 } },
      ...{ seeds: [3, 4], fromScratch: false, signal: new AbortController().signal },
    }
    const [once, again] = [await finetune(options), await finetune({ ...options, cache: 'memory' })]
    expect(liveTensors()).toBe(opened)
    expect(once.rows).toEqual(again.rows)
    expect(once.rows.map(({ setting }) => setting)).toEqual(['last weights', 'averaged weights'])
    expect(opened).toBeGreaterThan(before)
    expect(again.data).toEqual(once.data)
  })

  it('learns the same from images on the device, where RandAugment has no bytes to change', async () => {
    const encoder = await encoderOf(1)
    const tuned = async (over: Partial<FinetuneSettings>, cache?: CacheKind) => {
      const seen: number[] = []
      const few = { ...settings, epochs: 1, warmupEpochs: 0, shots: { perClass: 8 }, ...over }
      const { rows } = await finetune({
        ...{ encoder, data: { train, test }, settings: few, cache, seeds: [0], fromScratch: false },
        ...{ validation: { share: 0.25 }, signal: new AbortController().signal },
        onStep: ({ loss }) => seen.push(loss),
      })
      return { rows, seen }
    }
    expect(await tuned({}, 'device')).toEqual(await tuned({}))
    await expect(tuned({ randAugment: 9 }, 'device')).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(/--cache memory.*--rand-augment 0/),
    })
  })

  it('begins with the weights of the encoder, and from scratch without them', async () => {
    const losses = async (modelSeed: number, fromScratch: boolean) => {
      const seen: number[] = []
      await finetune({
        encoder: await encoderOf(modelSeed),
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

  it('warms up for a quarter of a few epochs, and for as many as are asked for', async () => {
    const tuned = async (epochs: number, warmupEpochs: number | null) => {
      const rates: number[] = []
      const notes: string[] = []
      const report = await finetune({
        encoder: await encoderOf(1),
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

  it('refuses more blocks than there are, and stops when its signal is aborted', async () => {
    await expect(run({ blocks: 2 })).rejects.toThrow('Expected 0 to 1 blocks to learn, got 2.')
    const abort = new AbortController()
    const stopped = finetune({
      encoder: await encoderOf(1),
      ...{ data: { train, test }, settings, seeds: [0, 1], fromScratch: false, signal: abort.signal },
      onStep: () => abort.abort(),
    })
    await expect(stopped).rejects.toMatchObject({
      code: 'INTERRUPTED',
      message: expect.stringMatching(/^Stopped after 1 of 36 steps/),
    })
  })
})

describe('fine-tuning that is interrupted', () => {
  const quick = {
    ...settings,
    epochs: 2,
    warmupEpochs: 0,
    ema: 0.9,
    randAugment: 9,
    accumulate: 2,
    batchSize: 8,
  }

  /** The report without its times, and the bytes of the classifier; `stopAt`: after how many steps of its own each call is aborted. */
  async function outcome(stopAt: readonly number[], more: Partial<FinetuneOptions> = {}) {
    const dir = folderOfFile()
    const steps: string[] = []
    const call = async (stop: number) => {
      const abort = new AbortController()
      let own = 0
      return finetune({
        ...{
          encoder: await encoderOf(1),
          data: { train, test },
          settings: quick,
          seeds: [0, 1],
          fromScratch: false,
        },
        ...{
          work: join(dir, 'work'),
          save: join(dir, 'c.safetensors'),
          keepEverySeconds: 1e9,
          signal: abort.signal,
        },
        ...more,
        onStep: ({ step }, seed) => {
          steps.push(`${seed}:${step}`)
          own += 1
          if (own === stop) abort.abort()
        },
      })
    }
    for (const stop of stopAt)
      await expect(call(stop)).rejects.toMatchObject({
        ...{ code: 'INTERRUPTED', message: expect.stringContaining('the same command continues') },
      })
    const { seconds, ...report } = await call(Number.POSITIVE_INFINITY)
    expect(seconds).toBeGreaterThan(0)
    return { report, steps, work: join(dir, 'work'), classifier: readFileSync(join(dir, 'c.safetensors')) }
  }

  it('continues to the same bytes, averaged weights and the best epoch among them', async () => {
    const more = { validation: { share: 0.25 } }
    const whole = await outcome([], more)
    // In an epoch, at the end of a seed before it is scored, in the next seed.
    const parted = await outcome([2, 3, 2], more) // of 5 steps with each seed
    expect(whole.steps).toHaveLength(new Set(whole.steps).size)
    expect(parted.steps).toEqual(whole.steps) // no step twice
    expect(parted.report).toEqual(whole.report)
    expect(parted.classifier.equals(whole.classifier)).toBe(true)
    expect(readdirSync(parted.work).sort()).toEqual(['seed-0.json', 'seed-1.json'])
  })

  it('stops between two batches of scoring, and continues to the same bytes, wherever it looks at the signal', async () => {
    const more = { validation: { share: 0.25 }, settings: { ...quick, epochs: 1 }, seeds: [0] }
    /** Each call is aborted two looks at the signal later than the one before; the first look is that after the last step. */
    const outcomeOf = async (first: number) => {
      const dir = folderOfFile()
      for (let most = first; ; most += 2) {
        let looks = most > first ? 0 : Number.NEGATIVE_INFINITY // no step is left
        const { signal } = new AbortController()
        Object.defineProperty(signal, 'aborted', { get: () => ++looks > most })
        const call = finetune({
          ...{ encoder: await encoderOf(1), data: { train, test }, fromScratch: false, ...more, signal },
          ...{ work: join(dir, 'work'), save: join(dir, 'c.safetensors'), keepEverySeconds: 1e9 },
          onStep: ({ step }, _, total) => {
            if (step === total) looks = 0
          },
        })
        const ended = await call.catch((error: unknown) => error)
        if (!(ended instanceof Error))
          return {
            report: { ...(ended as Awaited<typeof call>), seconds: 0 },
            interruptions: Number.isFinite(first) ? most - first : 0,
            classifier: readFileSync(join(dir, 'c.safetensors')),
          }
        expect(ended).toMatchObject({
          ...{ code: 'INTERRUPTED', message: expect.stringMatching(/steps of seed 0; the same command/) },
        })
      }
    }
    const [whole, parted] = [await outcomeOf(Number.POSITIVE_INFINITY), await outcomeOf(0)]
    // Of the validation images, of the last weights, the averaged ones and the best ones: before and in each.
    expect(parted.interruptions).toBeGreaterThanOrEqual(6)
    expect(parted.report).toEqual(whole.report)
    expect(parted.classifier.equals(whole.classifier)).toBe(true)
  })

  it('keeps what a crash would lose every so often', async () => {
    const dir = folderOfFile()
    const crash = finetune({
      ...{
        encoder: await encoderOf(1),
        data: { train, test },
        settings: quick,
        seeds: [0],
        fromScratch: false,
      },
      ...{ work: dir, keepEverySeconds: 0, signal: new AbortController().signal },
      onStep: ({ step }) => {
        if (step === 5) throw new Error('crash')
      },
    })
    await expect(crash).rejects.toThrow('crash')
    expect(readdirSync(join(dir, 'seed-0'))).toEqual(['step-00000004'])
  })
})

describe('the best epoch', () => {
  const fresh = async () => ({
    ...{ encoder: await encoderOf(1), seeds: [0], fromScratch: false, signal: new AbortController().signal },
    settings: { ...settings, epochs: 4 },
  })

  it('is the one that is best on the validation images, the later one of equals; it is what is scored and saved', async () => {
    const seen: { epoch: number; top1: number; isBest: boolean }[] = []
    const report = await finetune({
      ...(await fresh()),
      data: { train, test },
      validation: { share: 0.25 },
      onValidated: ({ epoch, top1, isBest }) => void seen.push({ epoch, top1, isBest }),
    })
    expect(seen.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4])
    const top = Math.max(...seen.map(({ top1 }) => top1))
    const last = seen.findLastIndex(({ top1 }) => top1 === top) + 1
    expect(report.validation!.attempts).toEqual([
      { seed: 0, epoch: last, top1: seen.map(({ top1 }) => top1) },
    ])
    expect(seen.findLast(({ isBest }) => isBest)!.epoch).toBe(last)
    expect(report.validation).toMatchObject({ images: 12, isTest: false })
    expect(report.data.trainImages).toBe(36) // of 48, of which a quarter is held out
    const [atEnd, best] = report.rows
    expect([atEnd!.setting, best!.setting, best!.heldOut]).toEqual(['last weights', 'best epoch', top])
    expect(report.scores.top1).toBe(best!.top1.mean)
  })

  it('is of a folder, whose images are not learned from and change nothing that is learned', async () => {
    const losses = async (validation: FinetuneOptions['validation']) => {
      const seen: number[] = []
      const report = await finetune({
        ...{
          ...(await fresh()),
          data: { train, test },
          validation,
          onStep: ({ loss }) => void seen.push(loss),
        },
      })
      return { seen, report }
    }
    const [plain, chosen] = [await losses(null), await losses({ dir: dealt })]
    expect(chosen.seen).toEqual(plain.seen)
    expect(chosen.report.rows[0]!.top1).toEqual(plain.report.rows[0]!.top1)
    expect(plain.report.validation).toBeUndefined()
  })

  it('says where it was chosen on the test images, and refuses the training images', async () => {
    const report = await finetune({ ...(await fresh()), data: { train, test, validation: test } })
    expect(report.validation!.isTest).toBe(true)
    expect(report.warnings[0]).toMatch(/^the epoch was chosen on the test images themselves/)
    await expect(
      finetune({ ...(await fresh()), data: { train, test }, validation: { dir: train } }),
    ).rejects.toThrow(/holds the training images, which say nothing of others/)
    expect(existsSync(test)).toBe(true)
  })
})
