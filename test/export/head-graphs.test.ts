// Exported classifiers and segmenters against LibTorch, with a batch that they were not recorded with.
import { describe, expect, it } from 'vitest'
import { encoderGraph } from '../../src/export/encoder-graph.ts'
import { type GraphName, graphNames } from '../../src/export/formats.ts'
import { graphs } from '../../src/export/graphs.ts'
import {
  classifierGraph,
  type ExportedClassifier,
  type ExportedSegmenter,
  segmenterGraph,
} from '../../src/export/head-graphs.ts'
import { inputName } from '../../src/export/pixels-input.ts'
import { positionsName, positionsOf } from '../../src/export/positions-input.ts'
import { samplesOf } from '../../src/export/sample-input.ts'
import { type BackboneShape, plainBackbone } from '../../src/model/backbone-shape.ts'
import { headNames } from '../../src/model/classifier.ts'
import { type SegmentationHead, segmentationHeads } from '../../src/model/segmentation-heads.ts'
import type { Pixels } from '../../src/prepare/pixels.ts'
import { scope } from '../../src/tensor/scope.ts'
import { toFloats } from '../../src/tensor/tensor.ts'
import { logitsOf } from '../../src/weights/frozen-classifier.ts'
import { pixelLogitsOf } from '../../src/weights/frozen-segmenter.ts'
import { tiny } from '../model/tiny-model.ts'
import { bands, dates as days, series } from '../model/tiny-series.ts'
import { expectClose } from '../tolerance.ts'
import { bytes, classifierOf, encoderOf, range, rasters, segmenterOf } from './make-encoder.ts'
import { runGraph, runGraphOn } from './run-graph.ts'

const photographs = plainBackbone(tiny)
const projected = plainBackbone({ ...tiny, variant: { projection: 6 } })
const dates: BackboneShape = { ...series, time: null }

async function expectClassified(classifier: ExportedClassifier, pixels: Pixels): Promise<void> {
  const { values, shape } = samplesOf(pixels)
  const { logits, probabilities } = await runGraph(classifierGraph(classifier), values, shape)
  const expected = scope(() => toFloats(logitsOf(classifier)(pixels)))
  expect([logits!.shape, probabilities!.shape]).toEqual([
    [shape[0], 3],
    [shape[0], 3],
  ])
  expectClose(logits!.values, expected, 1e-5)
  const powers = Array.from(expected, Math.exp)
  const sums = powers.map((_, i) => [0, 1, 2].reduce((sum, c) => sum + powers[i - (i % 3) + c]!, 0))
  expectClose(
    probabilities!.values,
    powers.map((power, i) => power / sums[i]!),
    1e-5,
  )
}

async function expectSegmented(segmenter: ExportedSegmenter, pixels: Pixels): Promise<void> {
  const { values, shape } = samplesOf(pixels)
  const { logits } = await runGraph(segmenterGraph(segmenter), values, shape)
  expect(logits!.shape).toEqual([shape[0], 3, ...segmenter.dimensions.imageSize])
  expectClose(
    logits!.values,
    scope(() => toFloats(pixelLogitsOf(segmenter)(pixels))),
    2e-5,
  )
}

describe('an exported classifier computes what LibTorch does', () => {
  it.each(headNames)('with a head on %s', (head) =>
    expectClassified(classifierOf(head, head === 'pooled' ? projected : photographs), bytes(4, [6, 10], 3)),
  )

  it.each(['mean', 'normed-mean'] as const)('of dates and groups of bands with missing data: %s', (head) =>
    expectClassified(
      classifierOf(head, dates, { statistics: range, rasters: true }),
      rasters(4, dates, bands),
    ),
  )

  it('of dates, whose positions are an input', async () => {
    const classifier = classifierOf('normed-mean', series, { statistics: range, rasters: true })
    const plain = rasters(2, series, bands)
    const times = Float64Array.of(days[0]!, days[1]!, days[1]!, Number.NaN)
    const pixels = { ...plain, times, resolution: Float64Array.of(10, 10) }
    const inputs = { [inputName]: samplesOf(pixels), [positionsName]: positionsOf(series, pixels) }
    const { logits } = await runGraphOn(classifierGraph(classifier), inputs)
    expectClose(
      logits!.values,
      scope(() => toFloats(logitsOf(classifier)(pixels))),
      1e-5,
    )
  })

  it('of some of the bands', () => {
    const part = { statistics: range, rasters: true, channels: [1], only: [1] }
    return expectClassified(classifierOf('mean', dates, part), rasters(4, dates, 1))
  })
})

describe.each(Object.keys(segmentationHeads) as SegmentationHead[])(
  'an exported segmenter with a %s head',
  (head) => {
    it('computes what LibTorch does', () =>
      expectSegmented(segmenterOf(head, photographs), bytes(4, [6, 10], 3)))

    it('of dates and groups of bands with missing data', () =>
      expectSegmented(
        segmenterOf(head, dates, { statistics: range, rasters: true }),
        rasters(4, dates, bands),
      ))
  },
)

it('the encoder of a classifier of the mean has a graph whose mean is what the head reads', async () => {
  const classifier = classifierOf('mean', photographs)
  const pixels = bytes(4, [6, 10], 3)
  const { values, shape } = samplesOf(pixels)
  const { mean } = await runGraph(encoderGraph(classifier), values, shape)
  const numbers = (name: string) => toFloats(classifier.parameters.get(name)!)
  const [weight, bias] = [numbers('head.weight'), numbers('head.bias')]
  const made = Array.from({ length: 12 }, (_, i) => {
    const [row, label] = [Math.floor(i / 3), i % 3]
    const products = Array.from(
      { length: 24 },
      (_, d) => mean!.values[row * 24 + d]! * weight[label * 24 + d]!,
    )
    return products.reduce((a, b) => a + b, bias[label]!)
  })
  expectClose(
    made,
    scope(() => toFloats(logitsOf(classifier)(pixels))),
    1e-5,
  )
})

it.each(graphNames.filter((name) => name !== 'encoder'))(
  'a model without the parts of the %s is refused',
  (name: GraphName) => {
    expect(() => graphs[name].graph(encoderOf(photographs), {})).toThrow(
      /^(There are no weights|There is no head|This is no tokenizer)/,
    )
  },
)
