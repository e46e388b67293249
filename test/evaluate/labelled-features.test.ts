import { describe, expect, it } from 'vitest'
import {
  expectLabels,
  expectSameClasses,
  fewOf,
  labelled,
  shotsName,
  splitByClass,
} from '../../src/evaluate/labelled-features.ts'
import type { ImageFolder } from '../../src/source/image-folder.ts'

const folder = (dir: string, classes: readonly string[], labels: readonly number[] | null): ImageFolder => ({
  ...{ kind: 'images', dir, classes, files: (labels ?? [0]).map((_, i) => `${i}.png`) },
  labels: labels && Int32Array.from(labels),
})

describe('expectLabels', () => {
  it('says what is missing', () => {
    expect(() => expectLabels(folder('/d', [], null))).toThrow(
      /^\/d has no labels: expected a folder for each class/,
    )
    expect(() => expectLabels(folder('/d', ['train'], [0, 0]))).toThrow(
      /has one class, "train": .* at least two/,
    )
  })
})

it('expectSameClasses names what only one side has', () => {
  const [a, b] = [folder('/a', ['x', 'y'], [0, 1]), folder('/b', ['y', 'z'], [0, 1])]
  expect(() => expectSameClasses(a, b)).toThrow(/Only for training: x\. Only for testing: z\./)
  expect(() => expectSameClasses(a, a)).not.toThrow()
})

it('labelled picks rows, and labels by the index of the image', () => {
  const features = {
    ...{ count: 3, indices: Int32Array.of(0, 2, 3) }, // image 1 could not be read
    of: new Map([['cls' as const, { width: 2, tokens: 1, values: Float32Array.of(1, 2, 3, 4, 5, 6) }]]),
  }
  const picked = labelled(features, 'cls', Int32Array.of(7, 8, 9, 10), [2, 0])
  expect([...picked.vectors]).toEqual([5, 6, 1, 2])
  expect([...picked.labels]).toEqual([10, 7])
  expect(() => labelled(features, 'mean', Int32Array.of(7), [0])).toThrow('no features mean, only cls')
})

describe('splitByClass', () => {
  const labels = Int32Array.from({ length: 100 }, (_, i) => (i < 90 ? 0 : 1))

  it('holds out the share of each class, and every image is in one part', () => {
    const [kept, held] = splitByClass(labels, ['a', 'b'], { share: 0.2, seed: 1 })
    expect(held.filter((i) => labels[i] === 0)).toHaveLength(18)
    expect(held.filter((i) => labels[i] === 1)).toHaveLength(2)
    expect([...kept, ...held].sort((a, b) => a - b)).toEqual([...labels.keys()])
    expect(splitByClass(labels, ['a', 'b'], { share: 0.2, seed: 1 })[1]).toEqual(held)
    expect(splitByClass(labels, ['a', 'b'], { share: 0.2, seed: 2 })[1]).not.toEqual(held)
  })

  it('holds out one image of a small class, and refuses a class of one', () => {
    const [, held] = splitByClass(Int32Array.of(0, 0, 1, 1), ['a', 'b'], { share: 0.01, seed: 1 })
    expect(held).toHaveLength(2)
    expect(() => splitByClass(Int32Array.of(0, 0, 1), ['a', 'b'], { share: 0.2, seed: 1 })).toThrow(
      'Class "b" has 1 readable image: expected at least two',
    )
  })
})

describe('fewOf', () => {
  const set = {
    count: 30,
    width: 1,
    vectors: Float32Array.from({ length: 30 }, (_, i) => i),
    labels: Int32Array.from({ length: 30 }, (_, i) => i % 3),
  }

  it('takes as many of each class, others for another seed', () => {
    for (const [shots, each, name] of [
      [{ share: 0.2 }, 2, '20 %'],
      [{ share: 0.01 }, 1, '1 %'],
      [{ perClass: 4 }, 4, '4 per class'],
    ] as const) {
      const few = fewOf(set, 3, { shots, seed: 1 })
      expect([0, 1, 2].map((label) => few.labels.filter((x) => x === label).length)).toEqual([
        each,
        each,
        each,
      ])
      for (const [i, value] of few.vectors.entries()) expect(set.labels[value]).toBe(few.labels[i])
      expect(fewOf(set, 3, { shots, seed: 2 }).vectors).not.toEqual(few.vectors)
      expect(shotsName(shots)).toBe(name)
    }
  })

  it('refuses more than there are', () => {
    expect(() => fewOf(set, 3, { shots: { perClass: 11 }, seed: 1 })).toThrow(
      /11 per class were asked for, but class 0 has 10/,
    )
  })
})
