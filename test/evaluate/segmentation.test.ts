import { describe, expect, it } from 'vitest'
import { overlapOf } from '../../src/evaluate/mean-iou.ts'
import {
  confusionOf,
  predictMasks,
  type Segmented,
  tokenStatistics,
  trainHead,
} from '../../src/evaluate/segmentation.ts'
import type { Segmentation, SegmentationHead } from '../../src/model/segmentation-heads.ts'
import { draws } from '../../src/random/draws.ts'
import { toDtype } from '../../src/tensor/ops.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'

const [P, D, CLASSES] = [4, 6, 3]
const grid = { h: 3, w: 4 }
const N = grid.h * grid.w
const size = [grid.h * P, grid.w * P] as const
const IGNORED = 255

interface Toy extends Segmented {
  readonly patches: readonly (readonly number[])[]
}

/** Images whose patches have one class each; `featureOf` says of which patch's class a token speaks. */
function toy(
  count: number,
  seed: number,
  featureOf = (patch: number) => patch,
  classesOfImage = grid.w,
): Toy {
  const next = draws({ seed, stream: 'toy', epoch: 0, index: 0 })
  // A class goes over whole columns of patches, so that enlarging blurs few borders.
  const patches = Array.from({ length: count }, () => {
    const columns = Array.from({ length: grid.w }, () => next.below(CLASSES))
    return Array.from({ length: N }, (_, patch) => columns[(patch % grid.w) % classesOfImage]!)
  })
  const centre = (label: number) => wave(D, 50 + label).map((x) => 3 * x)
  const tokens = patches.flatMap((own, image) =>
    own.flatMap((_, patch) => {
      const noise = wave(D, 1000 * seed + image * N + patch)
      return centre(own[featureOf(patch)]!).map((x, d) => x + 0.1 * noise[d]!)
    }),
  )
  const masks = Uint16Array.from({ length: count * size[0] * size[1] }, (_, i) => {
    const [x, y] = [i % size[1], Math.floor(i / size[1]) % size[0]]
    const image = Math.floor(i / (size[0] * size[1]))
    return patches[image]![Math.floor(y / P) * grid.w + Math.floor(x / P)]!
  })
  return { count, masks, patches, tokens: toDtype(tensor(tokens, [count, N, D]), 'float16') }
}

const shape = { classes: CLASSES, width: D, grid, size, ignored: IGNORED }
const segmentationOf = async (train: Segmented): Promise<Segmentation> => ({
  ...{ shape, device: 'cpu', statistics: await tokenStatistics(train, 'cpu') },
})
const usual = { learningRate: 0.02, weightDecay: 1e-4, epochs: 40, batchSize: 8, seed: 0 }

async function learned(head: SegmentationHead, train: Segmented, test: Segmented) {
  const of = await segmentationOf(train)
  const losses: number[] = []
  const onEpoch = (_: number, loss: number) => void losses.push(loss)
  const trained = await trainHead(train, of, { ...usual, head }, { onEpoch })
  const overlap = overlapOf(await confusionOf(test, trained, of), ['a', 'b', 'c'])
  return { of, trained, losses, overlap }
}

const heads = ['linear', 'conv'] as const

describe.each(heads)('the %s head', (head) => {
  it('learns patches that their tokens tell apart, to the last pixel where a patch has equal neighbours', async () => {
    const [train, test] = [toy(60, 1), toy(20, 2)]
    const { losses, overlap, of, trained } = await learned(head, train, test)
    expect(losses).toHaveLength(usual.epochs)
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 3)
    expect(overlap.meanIou).toBeGreaterThan(0.9) // bilinear enlargement moves borders between classes
    const predicted = predictMasks(test, [3], trained, of)
    for (let patch = 0; patch < N; patch++) {
      const [y, x] = [Math.floor(patch / grid.w) * P + 1, (patch % grid.w) * P + 1]
      expect(predicted[y * size[1] + x]).toBe(test.patches[3]![patch])
    }
  })

  it('gets every pixel right where images have one class each', async () => {
    const one = (count: number, seed: number) => toy(count, seed, undefined, 1)
    expect((await learned(head, one(60, 1), one(30, 2))).overlap).toMatchObject({
      meanIou: 1,
      pixelAccuracy: 1,
    })
  })

  it('stays at chance with features that mean nothing', async () => {
    const noise = (set: Toy, seed: number) => ({
      ...set,
      tokens: tensor(wave(set.count * N * D, seed), [set.count, N, D]),
    })
    const { overlap } = await learned(head, noise(toy(60, 1), 1), noise(toy(40, 2), 2))
    expect(overlap.pixelAccuracy).toBeGreaterThan(0.2)
    expect(overlap.pixelAccuracy).toBeLessThan(0.47)
  })

  it('gives the same numbers for the same seed, whatever unlabelled pixels hold', async () => {
    const train = toy(24, 1)
    const hide = (masks: Uint16Array) => masks.map((label, i) => (i % 5 === 0 ? IGNORED : label))
    const a = await learned(head, { ...train, masks: hide(train.masks) }, train)
    const b = await learned(head, { ...train, masks: hide(train.masks) }, train)
    for (const [name, value] of a.trained.parameters)
      expect(numbers(value)).toEqual(numbers(b.trained.parameters.get(name)!))
    const unseen = overlapOf(await confusionOf({ ...train, masks: hide(train.masks) }, a.trained, a.of), [
      'a',
      'b',
      'c',
    ])
    expect(unseen.pixels).toBe(train.masks.filter((_, i) => i % 5 !== 0).length)
  })
})

it('only the convolution sees a neighbour', async () => {
  // Each token speaks of the class of the patch to its left: a map of single patches can know nothing of its own.
  const left = (patch: number) => (patch % grid.w === 0 ? patch : patch - 1)
  const [train, test] = [toy(80, 1, left), toy(20, 2, left)]
  const accuracy = async (head: SegmentationHead) => (await learned(head, train, test)).overlap.pixelAccuracy
  const [linear, conv] = [await accuracy('linear'), await accuracy('conv')]
  expect(linear).toBeLessThan(0.7)
  expect(conv).toBeGreaterThan(linear + 0.1)
})

it('the first loss is the logarithm of the number of classes, for maps near 0', async () => {
  const train = toy(10, 1)
  const losses: number[] = []
  await trainHead(
    train,
    await segmentationOf(train),
    { ...usual, head: 'linear', epochs: 1, learningRate: 1e-9 },
    { onEpoch: (_, loss) => void losses.push(loss) },
  )
  expect(Math.abs(losses[0]! - Math.log(CLASSES))).toBeLessThan(0.1)
})

it('tokenStatistics are those of all tokens, of batches and of a rest', async () => {
  const count = 70 // more than two batches
  const values = wave(count * N * D, 3).map((x) => Math.fround(x))
  const set = { count, masks: new Uint16Array(), tokens: tensor(values, [count, N, D]) }
  const { mean, deviation } = await tokenStatistics(set, 'cpu')
  for (let d = 0; d < D; d++) {
    const own = values.filter((_, i) => i % D === d)
    const m = own.reduce((a, b) => a + b, 0) / own.length
    const s = Math.sqrt(own.reduce((a, b) => a + (b - m) ** 2, 0) / own.length)
    expectClose([numbers(mean)[d]!, numbers(deviation)[d]!], [m, s], 1e-5)
  }
})
