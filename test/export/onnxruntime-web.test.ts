// Exported files in onnxruntime-web's WebAssembly, which is what a browser runs, against LibTorch.
import { describe, expect, it } from 'vitest'
import { smallestCosine } from '../../src/export/feature-cost.ts'
import type { GraphName } from '../../src/export/formats.ts'
import { type GraphOptions, graphs, type ModelParts } from '../../src/export/graphs.ts'
import { inputName } from '../../src/export/pixels-input.ts'
import { type ExportPrecision, type PrecisionRow, precisions } from '../../src/export/precision.ts'
import { samplesOf } from '../../src/export/sample-input.ts'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import type { Pixels } from '../../src/prepare/pixels.ts'
import { tiny } from '../model/tiny-model.ts'
import { bands, series } from '../model/tiny-series.ts'
import { expectClose } from '../tolerance.ts'
import { bytes, classifierOf, maskOf, modelOf, range, rasters, segmenterOf } from './make-encoder.ts'
import { runInBrowser } from './run-in-browser.ts'

async function expectSame(
  { graph: name, model, options = {} }: { graph: GraphName; model: ModelParts; options?: GraphOptions },
  precision: ExportPrecision,
  pixels: Pixels,
  mask: Readonly<Record<string, { values: BigInt64Array; shape: readonly number[] }>> = {},
): Promise<void> {
  const { convert, mostDifference, leastCosine }: PrecisionRow = precisions[precision]
  const row = graphs[name]
  const graph = convert(row.graph(model, options))
  const made = await runInBrowser(graph, { [inputName]: samplesOf(pixels), ...mask })

  const wanted = row.outputs(model, options)
  expect([...made.keys()].sort()).toEqual([...wanted].sort())
  const right = row.reference(model, wanted)(pixels, mask)
  for (const name of wanted) {
    const { values } = made.get(name)!
    expectClose(values, right[name]!, mostDifference)
    const width = row.vectors(model)[name]
    if (width !== undefined)
      expect(smallestCosine(values, right[name]!, width)).toBeGreaterThanOrEqual(leastCosine)
  }
}

const model = modelOf(plainBackbone(tiny))
const dateless = { ...series, time: null }
const satellite = modelOf(dateless, {}, { statistics: range, rasters: true })
const kinds = ['fp32', 'fp16', 'int8'] as const

describe('in WebAssembly', () => {
  it.each(kinds)('the encoder in %s', (precision) =>
    expectSame({ graph: 'encoder', model, options: { attention: true } }, precision, bytes(4, [6, 10], 3)),
  )

  it.each(kinds)('the autoencoder in %s', (precision) =>
    expectSame({ graph: 'autoencoder', model }, precision, bytes(4, [6, 10], 3), maskOf(4, 15, 4)),
  )

  it.each(kinds)('the classifier in %s', (precision) => {
    const { head, classes, ...own } = classifierOf('mean', plainBackbone(tiny))
    const model = { ...own, classifier: { head, classes } }
    return expectSame({ graph: 'classifier', model }, precision, bytes(4, [6, 10], 3))
  })

  it.each(kinds)('the segmenter in %s', (precision) => {
    const { segmenter: head, classes, ...own } = segmenterOf('conv', plainBackbone(tiny))
    const model = { ...own, segmenter: { head, classes } }
    return expectSame({ graph: 'segmenter', model }, precision, bytes(4, [6, 10], 3))
  })

  it('bands and frames with missing data', async () => {
    const pixels = rasters(3, dateless, bands)
    await expectSame({ graph: 'encoder', model: satellite }, 'fp32', pixels)
    await expectSame({ graph: 'autoencoder', model: satellite }, 'fp32', pixels, maskOf(3, 24, 7))
  })

  it('another grid', async () => {
    const sized = { ...tiny, imageSize: [4, 14] } as const
    const graph = graphs.encoder.graph(model, { dynamicGrid: { most: 32 } })
    const pixels = bytes(2, sized.imageSize, 3)
    const made = await runInBrowser(graph, { [inputName]: samplesOf(pixels) })
    const own = { ...model, dimensions: sized, shape: { ...model.shape, dimensions: sized } }
    const right = graphs.encoder.reference(own, ['patches'])(pixels, {})
    expectClose(made.get('patches')!.values, right.patches!, 1e-5)
  })
})
