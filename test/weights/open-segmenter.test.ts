// What is saved is what was scored, and the file says a pixel's class of any image.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { readArrays } from '../../src/checkpoint/safetensors.ts'
import { inferenceOptions } from '../../src/config/assemble.ts'
import {
  type SegmentationReport,
  type SegmentOptions,
  segment,
} from '../../src/evaluate/evaluate-segmentation.ts'
import { confusionOf } from '../../src/evaluate/segmentation.ts'
import { extractTokens, openMasked, renumber, UNLABELLED } from '../../src/evaluate/segmentation-data.ts'
import type { SegmentationHead } from '../../src/model/segmentation-heads.ts'
import { imagesInOrder } from '../../src/prepare/loader/in-order.ts'
import { call } from '../../src/tensor/call.ts'
import { toDtype } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { toArray } from '../../src/tensor/tensor.ts'
import { pixelLogitsOf, trainedHeadOf } from '../../src/weights/frozen-segmenter.ts'
import { openClassifier } from '../../src/weights/open-classifier.ts'
import { openEncoder, openFor } from '../../src/weights/open-encoder.ts'
import { openSegmenter } from '../../src/weights/open-segmenter.ts'
import { writeMaskedSet } from '../prepare/masks/make-masked.ts'
import { tinyConfig, workFolder } from '../run/tiny.ts'

let dir: string
beforeAll(async () => {
  dir = await workFolder()
  const size = { width: 40, height: 32 }
  await writeMaskedSet({ dir: join(dir, 'train'), count: 20, ...size, seed: 1 })
  await writeMaskedSet({ dir: join(dir, 'test'), count: 8, ...size, seed: 2 })
})

const random = () =>
  openEncoder({ model: 'random', config: tinyConfig({ train: { precision: 'fp32' } }), device: 'cpu' })

const run = async (save: string, over: Partial<SegmentOptions> = {}) =>
  segment({
    encoder: over.encoder ?? (await random()),
    data: { train: join(dir, 'train'), test: join(dir, 'test') },
    settings: { epochs: 4, batchSize: 16, learningRate: 0.01, weightDecay: 1e-4 },
    ...{ heads: ['linear'], seeds: [3, 4], ignored: 0, save, ...over },
  })

/** By the way of the report: tokens of 16 bits. */
async function confusionOfFile(model: string): Promise<number[][]> {
  const segmenter = await openSegmenter({ model, device: 'cpu' })
  const folders = await openMasked(segmenter, { train: join(dir, 'train'), test: join(dir, 'test') })
  const { set } = await extractTokens(segmenter, folders.test)
  renumber(set, segmenter.numbers)
  const { trained, of } = trainedHeadOf(segmenter, UNLABELLED)
  return confusionOf(set, trained, of)
}

/** Straight from pixels, in float32, counted here. */
async function directly(model: string): Promise<number[][]> {
  const segmenter = await openSegmenter({ model, device: 'cpu' })
  const folders = await openMasked(segmenter, { train: join(dir, 'train'), test: join(dir, 'test') })
  const { set } = await extractTokens(segmenter, folders.test) // for its masks
  renumber(set, segmenter.numbers)
  const logits = pixelLogitsOf(segmenter)
  const confusion = segmenter.classes.map(() => segmenter.classes.map(() => 0))
  const source = await openFor(segmenter, join(dir, 'test/images'))
  const options = { ...inferenceOptions(segmenter.config, source, segmenter.machine), batchSize: 3 }
  let at = 0
  for await (const { indices, parts } of imagesInOrder(options)) {
    const found = scope(() => {
      const made = logits(parts[0]!.samples)
      expect(made.shape).toEqual([indices.length, segmenter.classes.length, 16, 16])
      return toArray(toDtype(call('argmax', made, 1, false), 'int32')) as Int32Array
    })
    for (const label of found) {
      const truth = set.masks[at++]!
      if (truth !== UNLABELLED) confusion[truth]![label]!++
    }
  }
  return confusion
}

const labelled = (confusion: readonly (readonly number[])[]) => confusion.flat().reduce((a, b) => a + b, 0)

describe.each<SegmentationHead>(['linear', 'conv'])('a saved segmenter with a %s head', (head) => {
  let report: SegmentationReport
  const file = () => join(dir, `${head}.safetensors`)
  beforeAll(async () => {
    ;({ report } = await run(file(), { heads: [head] }))
  })

  it('scores the same when it is opened again', async () => {
    expect(await confusionOfFile(file())).toEqual(report.rows[0]!.confusion)
  })

  it('says the same of almost every pixel straight from the image, where tokens are not rounded to 16 bits', async () => {
    const made = await directly(file())
    expect(labelled(made)).toBe(labelled(report.rows[0]!.confusion))
    const moved = made.flatMap((row, i) => row.map((n, j) => Math.abs(n - report.rows[0]!.confusion[i]![j]!)))
    expect(moved.reduce((a, b) => a + b, 0) / 2 / labelled(made)).toBeLessThan(0.01)
  })

  it('has names of its own beside the encoder, and says what its classes are in masks', async () => {
    const { tensors, metadata } = readArrays(file())
    expect([...tensors.keys()]).toEqual(
      expect.arrayContaining(['norm.weight', 'decode_head.classify.weight', 'decode_head.tokens.mean']),
    )
    expect(JSON.parse(metadata.sherd!)).toMatchObject({
      segmenter: { head, classes: ['class 1', 'class 2'], numbers: [1, 2], ignored: 0 },
    })
    expect((await openEncoder({ model: file(), device: 'cpu' })).norm).toBe('norm')
    await expect(openClassifier({ model: file(), device: 'cpu' })).rejects.toThrow(/no head of a classifier/)
  })
})

it('two heads are no file, which is said before tokens are read', async () => {
  let looked = 0
  const path = join(dir, 'two.safetensors')
  const given = run(path, { heads: ['linear', 'conv'], onProgress: () => void looked++ })
  await expect(given).rejects.toThrow(
    'A file holds one head, and 2 were asked for: give --heads linear or --heads conv.',
  )
  expect([looked, existsSync(path)]).toEqual([0, false])
})

it('leaves no tensor behind', async () => {
  const encoder = await random()
  const before = liveTensors()
  await run(join(dir, 'again.safetensors'), { encoder, seeds: [0] })
  expect(liveTensors()).toBe(before)
  expect(encoder.parameters.size).toBeGreaterThan(0) // and held until here
})
