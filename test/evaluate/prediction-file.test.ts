import { describe, expect, it } from 'vitest'
import {
  agreementOf,
  predictionFormat,
  predictionsOf,
  predictionTable,
  softmaxOf,
} from '../../src/evaluate/prediction-file.ts'
import type { FolderLogits } from '../../src/weights/folder-logits.ts'

const logits = (labels: Int32Array | null): FolderLogits => ({
  source: {
    kind: 'images',
    dir: '/d',
    files: ['x/a.png', 'b, "c".png', 'd.png'],
    classes: ['x', 'q'],
    labels,
  } as FolderLogits['source'],
  classes: ['x', 'y', 'z'],
  indices: Int32Array.of(0, 1), // the third could not be read
  // Softmax of (0, ln 3, −∞) is (1/4, 3/4, 0); of (1000, 1000, 1000) a third each, the first first.
  logits: Float32Array.of(0, Math.log(3), Number.NEGATIVE_INFINITY, 1000, 1000, 1000),
  skipped: [],
})

describe('predictions', () => {
  it('are the likeliest classes with their probabilities', () => {
    const [first, second] = predictionsOf(logits(null))
    expect(first).toMatchObject({ file: 'x/a.png', label: null })
    expect(first!.top.map((guess) => guess.class)).toEqual(['y', 'x', 'z'])
    expect(first!.top.map(({ probability }) => probability)).toEqual([
      expect.closeTo(0.75, 7),
      expect.closeTo(0.25, 7),
      0,
    ])
    expect(second!.top).toEqual(['x', 'y', 'z'].map((name) => ({ class: name, probability: 1 / 3 })))
  })

  it('are compared with folders that have the names of classes, and with no others', () => {
    const all = predictionsOf(logits(Int32Array.of(0, 1, 0))) // of x and q
    expect(agreementOf(all, ['x', 'y', 'z'])).toEqual({ right: 0, of: 1 })
    expect(agreementOf(all, ['y'])).toBeNull()
    expect(agreementOf(predictionsOf(logits(null)), ['x', 'y', 'z'])).toBeNull()
    expect(agreementOf(predictionsOf(logits(Int32Array.of(1, 0, 0))), ['x', 'y', 'z'])).toEqual({
      right: 1,
      of: 1,
    })
  })

  it('are a table that any reader of CSV parts alike', () => {
    expect(predictionTable(predictionsOf(logits(null)))).toBe(
      [
        'file,class,probability,class_2,probability_2,class_3,probability_3\r\n',
        'x/a.png,y,0.750000,x,0.250000,z,0.00000\r\n',
        '"b, ""c"".png",x,0.333333,y,0.333333,z,0.333333\r\n',
      ].join(''),
    )
    expect(predictionTable(predictionsOf(logits(Int32Array.of(0, 1, 0))))).toMatch(
      /^file,label,class,.*\r\nx\/a\.png,x,y,/,
    )
  })
})

it('softmax does not overflow', () => {
  expect(softmaxOf([1000, 0])).toEqual([1, 0])
})

it('the name says the format', () => {
  expect([predictionFormat('a.CSV'), predictionFormat('b.json')]).toEqual(['.csv', '.json'])
  expect(() => predictionFormat('a.txt')).toThrow('Expected --out to end in .csv or .json, got a.txt')
})
