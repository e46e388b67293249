// Exported autoencoders against LibTorch, with masks and batches of sizes that they were not recorded with.

import { describe, expect, it } from 'vitest'
import { autoencoderGraph } from '../../src/export/autoencoder-graph.ts'
import { graphs, type Indices, type ModelParts } from '../../src/export/graphs.ts'
import { inputName } from '../../src/export/pixels-input.ts'
import { samplesOf } from '../../src/export/sample-input.ts'
import { type BackboneShape, layoutOf, plainBackbone } from '../../src/model/backbone-shape.ts'
import { gridOfModel, patchWidth } from '../../src/model/dimensions.ts'
import { maskTokens } from '../../src/objective/mask-tokens.ts'
import type { Pixels } from '../../src/prepare/pixels.ts'
import { predictPixels } from '../../src/target/pixel-target.ts'
import { tokenCount } from '../../src/token/grid.ts'
import { layoutTokens } from '../../src/token/layout.ts'
import { stirredParameters, tiny, tinyDecoder } from '../model/tiny-model.ts'
import { bands, series } from '../model/tiny-series.ts'
import { expectClose } from '../tolerance.ts'
import { bytes, encoderOf, maskOf, modelOf, range, rasters } from './make-encoder.ts'
import { runGraphOn } from './run-graph.ts'

async function expectSame(
  model: ModelParts,
  pixelsOf: (B: number) => Pixels,
  ratios = [0.1, 0.5, 0.9],
): Promise<void> {
  const graph = autoencoderGraph(model, model.autoencoder!)
  const reference = graphs.autoencoder.reference(model, ['prediction'])
  const N = layoutTokens(layoutOf(model.shape))
  for (const [i, ratio] of ratios.entries()) {
    const B = [4, 1, 2][i % 3]!
    const mask = maskOf(B, N, Math.round(N * (1 - ratio)))
    const pixels = pixelsOf(B)
    const made = await runGraphOn(graph, { [inputName]: samplesOf(pixels), ...mask })
    const { frames, dimensions: d } = model.shape
    const places = frames * tokenCount(gridOfModel(d))
    expect(made.prediction!.shape).toEqual([B, places, patchWidth(d)])
    expectClose(made.prediction!.values, reference(pixels, mask).prediction!, 1e-5)
  }
}

const photos = (B: number) => bytes(B, [6, 10], 3)
const bandSeries: BackboneShape = { ...series, time: null }
const oneDate: BackboneShape = { ...bandSeries, frames: 1 }
const ofBands = { statistics: range, rasters: true }

describe('an exported autoencoder predicts what LibTorch does', () => {
  it('of normalised patches', () => expectSame(modelOf(plainBackbone(tiny)), photos))

  it('of pixels', () =>
    expectSame(modelOf(plainBackbone(tiny), { target: predictPixels({ normalize: false }) }), photos))

  it('with learned positions', () =>
    expectSame(modelOf({ ...plainBackbone(tiny), positions: 'learned' }), photos))

  it('with pictures of several sizes', () =>
    expectSame(
      modelOf(plainBackbone(tiny), {
        target: predictPixels({ normalize: false, scales: { scales: [2], width: 4 } }),
      }),
      photos,
    ))

  it.each([null, []])('by cross-attention, feature maps %j', (featureMaps) =>
    expectSame(
      modelOf(plainBackbone(tiny), {
        decoder: {
          ...{ kind: 'cross-attention', width: 16, depth: 2, heads: 2 },
          ...{ featureMaps, useInput: featureMaps === null, decodeRatio: 0.3 },
        },
      }),
      photos,
    ),
  )

  it('by mask tokens in the encoder and one linear head', () => {
    const shape = plainBackbone(tiny)
    const target = predictPixels({ normalize: false, form: 'simmim' })
    const objective = maskTokens({ ...shape, maskRatio: 0.6, target, device: 'cpu' })
    const parameters = stirredParameters(objective)
    const autoencoder = { objective, recorded: objective, parameters }
    return expectSame({ ...encoderOf(shape, { parameters }), autoencoder }, photos)
  })

  it('of groups of bands and frames, with missing data', () =>
    expectSame(modelOf(bandSeries, {}, ofBands), (B) => rasters(B, bandSeries, bands)))

  it('of bands in the order of the released code', () => {
    const shape: BackboneShape = {
      ...oneDate,
      groups: [
        [3, 0],
        [1, 2],
      ],
    }
    return expectSame(
      modelOf(
        shape,
        { decoder: { ...tinyDecoder, compat: 'satmae' }, target: predictPixels({ compat: 'satmae' }) },
        ofBands,
      ),
      (B) => rasters(B, shape, bands),
    )
  })
})

describe('its graph', () => {
  const model = modelOf(plainBackbone(tiny))
  const graph = autoencoderGraph(model, model.autoencoder!)

  it('names its lengths', () => {
    expect(graph.inputs.map(({ name, type, shape }) => [name, type, ...shape])).toEqual([
      ['pixels', 'float32', { batch: 1 }, 3, 6, 10],
      ['kept', 'int64', { batch: 1 }, { kept: 1 }],
      ['hidden', 'int64', { batch: 1 }, { '1': 15, kept: -1 }],
    ])
    expect(graph.sizeNames).toEqual({ '15-kept': 'hidden' })
    expect(graph.outputs).toEqual([{ name: 'prediction', type: 'float32', shape: [{ batch: 1 }, 15, 12] }])
  })

  it('does not see hidden pixels, and sees every other', async () => {
    const mask = maskOf(1, 15, 6)
    const given = samplesOf(photos(1))
    const predict = async (values: Float32Array) =>
      (await runGraphOn(graph, { [inputName]: { ...given, values }, ...mask })).prediction!.values
    const before = await predict(given.values)
    const kept = new Set(Array.from(mask.kept.values, Number))
    for (let at = 0; at < 180; at += 7) {
      const [row, column] = [Math.floor((at % 60) / 10), at % 10]
      const token = Math.floor(row / 2) * 5 + Math.floor(column / 2)
      const changed = Float32Array.from(given.values)
      changed[at] = 255 - changed[at]!
      const isSame = `${await predict(changed)}` === `${before}`
      expect([at, isSame]).toEqual([at, !kept.has(token)])
    }
  })

  it('does not care about the order of hidden tokens', async () => {
    const mask = maskOf(1, 15, 6)
    const turned = { ...mask.hidden, values: mask.hidden.values.slice().reverse() }
    const run = async (hidden: Indices) =>
      (await runGraphOn(graph, { [inputName]: samplesOf(photos(1)), ...mask, hidden })).prediction!.values
    expectClose(await run(turned), await run(mask.hidden), 1e-6)
  })
})

it('refuses models of too few tokens, dates, and some of the bands', () => {
  const few = modelOf(plainBackbone({ ...tiny, imageSize: [2, 6] }))
  expect(() => autoencoderGraph(few, few.autoencoder!)).toThrow('3 tokens')
  const dated = modelOf(series, {}, ofBands)
  expect(() => autoencoderGraph(dated, dated.autoencoder!)).toThrow('model with dates')
  const part = modelOf(bandSeries, {}, { ...ofBands, channels: [1], only: [1] })
  expect(() => autoencoderGraph(part, part.autoencoder!)).toThrow('leave --bands out')
})

it('a model without a decoder has none', () => {
  expect(() => graphs.autoencoder.graph(encoderOf(plainBackbone(tiny)), {})).toThrow(
    'no weights of a decoder',
  )
})
