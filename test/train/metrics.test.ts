import { expect, it } from 'vitest'
import { mae } from '../../src/objective/mae.ts'
import type { MetricRow } from '../../src/objective/objective.ts'
import { predictPixels } from '../../src/target/pixel-target.ts'
import { metricRows, valueIn } from '../../src/train/metrics.ts'
import { tiny, tinyDecoder } from '../model/tiny-model.ts'
import { toyObjective } from '../objective/toy.ts'

const named = (rows: readonly MetricRow[], wanted: string) => rows.find(({ name }) => name === wanted)
const maeOf = (pixels: Parameters<typeof predictPixels>[0], over: object = {}) =>
  metricRows(
    mae({
      ...{ dimensions: tiny, decoder: tinyDecoder, maskRatio: 0.75, device: 'cpu' },
      ...{ target: predictPixels(pixels), ...over },
    }),
  )
const groups = { groups: [[0], [1, 2]], groupWidth: 8 }

it('the rows of a training are its own, the parts, the metrics and the schedules, by their places in a line', () => {
  const rows = metricRows(toyObjective() as never)
  expect(rows.map(({ name }) => name)).toEqual([
    ...['loss', 'parts.contrast', 'parts.commitment', 'parts.teacher', 'metrics.usedCodes'],
    ...['schedules.learningRate', 'schedules.weightDecay', 'schedules.momentum', 'gradientNorm'],
    ...['imagesPerSecond', 'stepSeconds', 'dataWaitSeconds', 'residentBytes'],
  ])
  expect(named(rows, 'loss')).toEqual({ name: 'loss', kind: 'loss', unit: '' })
  const line = { loss: 3, parts: { contrast: 1, 'scale.2': 2 }, time: 'now' }
  const values = ['loss', 'parts.contrast', 'parts.scale.2', 'metrics.usedCodes', 'time']
  expect(values.map((name) => valueIn(line, name))).toEqual([3, 1, 2, undefined, undefined])
})

// The variance is unbiased, so predicting the mean of n normalised values has the error (n − 1) / n. Patches are of 2 × 2 pixels.
it.each<[string, Parameters<typeof maeOf>, number | null]>([
  ['normalised images: 12 values', [{}], 11 / 12],
  ['raw images', [{ normalize: false }], null],
  ['groups of 1 and 2 bands: 4 and 8 values', [{}, groups], (3 / 4 + 7 / 8) / 2],
  ['bands by themselves: 4 values', [{ statistics: 'band' }, groups], 3 / 4],
  ['groups by all bands', [{ statistics: 'all' }, groups], null],
  ['one group by all bands', [{ statistics: 'all' }], 11 / 12],
])('the chance value of mae’s loss: %s', (_, given, expected) => {
  const { chance, chanceOf, name } = named(maeOf(...given), 'loss')!
  expect([name, chance, chanceOf]).toEqual(['loss', expected, 'predicting the mean'])
})
