// Evaluation by segmentation that is stopped anywhere, and started again on the same work.
import { readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import {
  type SegmentationReport,
  type SegmentOptions,
  segment,
} from '../../src/evaluate/evaluate-segmentation.ts'
import { segmentationDefaults } from '../../src/evaluate/segmentation.ts'
import type { GridPicture } from '../../src/picture/tile-grid-layout.ts'
import { liveTensors } from '../../src/tensor/scope.ts'
import { type OpenedEncoder, openEncoder } from '../../src/weights/open-encoder.ts'
import { writeMaskedSet } from '../prepare/masks/make-masked.ts'
import { tinyConfig, workFolder } from '../run/tiny.ts'

let dir: string
let encoder: OpenedEncoder
let whole: { report: Omit<SegmentationReport, 'seconds'>; picture: GridPicture; file: Buffer }

const run = async (save: string, more: Partial<SegmentOptions> = {}) => {
  const { report, picture } = await segment({
    ...{ encoder, data: { train: join(dir, 'train'), test: join(dir, 'test') }, ignored: 255 },
    ...{ heads: ['linear'], seeds: [0, 1], settings: { ...segmentationDefaults, epochs: 3 } },
    ...{ save, ...more },
  })
  const { seconds, ...rest } = report
  return { seconds, report: rest, picture, file: readFileSync(save) }
}

beforeAll(async () => {
  dir = await workFolder()
  const size = { width: 20, height: 16 }
  await writeMaskedSet({ dir: join(dir, 'train'), count: 70, ...size, seed: 1 }) // three batches
  await writeMaskedSet({ dir: join(dir, 'test'), count: 8, ...size, seed: 2 })
  encoder = await openEncoder({
    ...{ model: 'random', device: 'cpu' },
    config: tinyConfig({ train: { precision: 'fp32' } }),
  })
  const { seconds, ...rest } = await run(join(dir, 'whole.safetensors'))
  expect(seconds).toBeGreaterThan(0)
  whole = rest
})

/** Notes all signs of progress, and stops at one of them. */
function watching(last?: string) {
  const abort = new AbortController()
  const seen: string[] = []
  const see = (what: string) => {
    seen.push(what)
    if (what === last) abort.abort()
  }
  const watch = {
    signal: abort.signal,
    onProgress: ({ dir, done }: { dir: string; done: number }) => see(`${basename(dir)} ${done}`),
    onPiece: (done: number) => see(`heads ${done.toFixed(2)}`),
  }
  return { seen, watch }
}

it('continues from every place to the same report, picture and file, and leaves no tensor behind', async () => {
  const once = watching()
  await run(join(dir, 'seen.safetensors'), once.watch)
  expect(once.seen.slice(0, 9)).toEqual([
    ...['train 0', 'train 32', 'train 64', 'train 70', 'test 0', 'test 8'],
    ...['heads 0.00', 'heads 0.00', 'heads 0.00'], // the statistics
  ])
  const before = liveTensors()
  const [work, save] = [join(dir, 'work'), join(dir, 'stopped.safetensors')]
  const messages: string[] = []
  for (const last of ['train 32', 'test 0', 'heads 0.00', 'heads 0.66', 'heads 1.66'])
    await run(save, { work, ...watching(last).watch }).catch(({ message }) => messages.push(message))
  expect(messages).toEqual([
    'Stopped after 32 of 70 images; the same command continues.',
    'Stopped after 0 of 8 images; the same command continues.',
    ...Array.from({ length: 2 }, () => 'Stopped after 0 of 2 heads; the same command continues.'),
    'Stopped after 1 of 2 heads; the same command continues.',
  ])
  expect(liveTensors()).toBe(before)
  rmSync(save) // it is made again from what is kept
  const { seen, watch } = watching()
  const { seconds, ...found } = await run(save, { work, ...watch })
  expect(found).toEqual(whole)
  expect(seconds).toBeGreaterThan(0)
  expect(seen.slice(0, 3)).toEqual(['train 70', 'test 8', 'heads 1.00'])
})
