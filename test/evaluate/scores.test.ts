import { describe, expect, it } from 'vitest'
import { largestOf, meanAndDeviation, scoresOf } from '../../src/evaluate/scores.ts'

describe('scoresOf', () => {
  it('by hand: two of three images of a, one of two of b, none of c', () => {
    const values = Float32Array.from([
      ...[
        [3, 1, 0],
        [2, 1, 0],
        [0, 1, 5],
      ].flat(), // a
      ...[
        [1, 2, 0],
        [2, 1, 0],
      ].flat(), // b
      ...[0, 1, 0], // c
    ])
    const scores = scoresOf(values, Int32Array.of(0, 0, 0, 1, 1, 2), ['a', 'b', 'c'])
    expect(scores).toMatchObject({ images: 6, top1: 0.5, top5: null })
    expect(scores.confusion).toEqual([
      [2, 0, 1],
      [1, 1, 0],
      [0, 1, 0],
    ])
    expect(scores.classes.map(({ recall, precision }) => [recall, precision])).toEqual([
      [2 / 3, 2 / 3],
      [1 / 2, 1 / 2],
      [0, 0],
    ])
    expect(scores.meanRecall).toBeCloseTo((2 / 3 + 1 / 2) / 3, 12)
    // a: 2 right of 3 images, named 3 times. b: 1 of 2, named 2 times. c: 0 of 1, named once.
    expect(scores.classes.map(({ f1 }) => f1)).toEqual([4 / 6, 2 / 4, 0])
    expect(scores.macroF1).toBeCloseTo((2 / 3 + 1 / 2) / 3, 12)
  })

  it('counts the fifth place and not the sixth; a class that was never named has no precision', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f']
    const values = Float32Array.from([...[6, 5, 4, 3, 2, 1], ...[6, 5, 4, 3, 2, 1]])
    const scores = scoresOf(values, Int32Array.of(4, 5), names)
    expect(scores).toMatchObject({ top1: 0, top5: 0.5 })
    expect(scores.classes[5]).toMatchObject({ images: 1, recall: 0, precision: null })
    expect(scores.meanRecall).toBe(0) // of the two classes that there are
    // a was named twice and has no image; b, c and d have neither, and do not count in the mean.
    expect(scores.classes.map(({ f1 }) => f1)).toEqual([0, null, null, null, 0, 0])
    expect(scores.macroF1).toBe(0)
  })

  it('refuses values of other images', () => {
    expect(() => scoresOf(new Float32Array(5), Int32Array.of(0, 1), ['a', 'b'])).toThrow(
      /expected 2 × 2 values, got 5/,
    )
  })
})

it('largestOf takes the first of equal values', () => {
  expect([...largestOf(Float32Array.of(1, 3, 3, 0, 2, 2, 2, 2), 4, 3)]).toEqual([1, 2, 0, 0, 1, 2])
})

it('meanAndDeviation is that of a sample', () => {
  expect(meanAndDeviation([1, 2, 3, 4])).toEqual({ mean: 2.5, deviation: Math.sqrt(5 / 3) })
  expect(meanAndDeviation([7])).toEqual({ mean: 7, deviation: 0 })
})
