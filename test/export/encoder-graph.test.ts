// Exported encoders against LibTorch, with batches of sizes that they were not recorded with.
import { describe, expect, it } from 'vitest'
import { tokensOf } from '../../src/evaluate/features.ts'
import { encoderGraph } from '../../src/export/encoder-graph.ts'
import { type ExportedEncoder, pixelsInput } from '../../src/export/pixels-input.ts'
import { samplesOf } from '../../src/infer/pixels.ts'
import { type BackboneShape, backboneRows, plainBackbone } from '../../src/model/backbone.ts'
import type { Pixels } from '../../src/prepare/normalize.ts'
import { narrow } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { toFloats } from '../../src/tensor/tensor.ts'
import { pool } from '../../src/token/pool.ts'
import { tiny } from '../model/tiny-model.ts'
import { bands, series } from '../model/tiny-series.ts'
import { expectClose, product } from '../tolerance.ts'
import { bytes, encoderOf, range, rasters } from './make-encoder.ts'
import { runGraph } from './run-graph.ts'

async function expectSame(encoder: ExportedEncoder, pixels: Pixels): Promise<void> {
  const graph = encoderGraph(encoder)
  const { values, shape } = samplesOf(pixels)
  expect(shape.slice(1)).toEqual(pixelsInput(encoder).shape)
  const made = await runGraph(graph, values, shape)
  scope(() => {
    const { tokens, present } = tokensOf(encoder)(pixels)
    const [B, all, D] = tokens.shape as [number, number, number]
    expect(made.patches!.shape).toEqual([B, all - 1, D])
    expect(made.patches!.values.length).toBe(product([B, all - 1, D]))
    expectClose(made.cls!.values, toFloats(pool.cls(tokens)), 1e-5)
    expectClose(made.mean!.values, toFloats(pool.mean(tokens, present)), 1e-5)
    expectClose(made.patches!.values, toFloats(narrow(tokens, 1, 1, all - 1)), 1e-5)
  })
}

const bandSeries: BackboneShape = { ...series, time: null }

describe('an exported encoder computes what LibTorch does', () => {
  it('of photographs', () => expectSame(encoderOf(plainBackbone(tiny)), bytes(5, [6, 10], 3)))

  it('of one photograph', () => expectSame(encoderOf(plainBackbone(tiny)), bytes(1, [6, 10], 3)))

  it('of grey images', () =>
    expectSame(encoderOf(plainBackbone({ ...tiny, channels: 1 })), bytes(4, [6, 10], 1)))

  it('with positions that were learned', () =>
    expectSame(encoderOf({ ...plainBackbone(tiny), positions: 'learned' }), bytes(4, [6, 10], 3)))

  it('of groups of bands, clipped, with missing data', () => {
    const shape: BackboneShape = { ...bandSeries, frames: 1 }
    const statistics = { ...range, low: [7, null, 7, 6], high: [13, 14, null, 13] }
    return expectSame(encoderOf(shape, { statistics, rasters: true }), rasters(4, shape, bands))
  })

  it('of several frames', () =>
    expectSame(encoderOf(bandSeries, { statistics: range, rasters: true }), rasters(4, bandSeries, bands)))

  it('of some of the bands', () => {
    const part = { channels: [1], only: [1] }
    const encoder = encoderOf(bandSeries, { statistics: range, rasters: true, ...part })
    return expectSame(encoder, rasters(4, bandSeries, 1))
  })
})

it('keeps the names of the parameters, and has no code for what is constant', () => {
  const graph = encoderGraph(encoderOf(plainBackbone(tiny)))

  const names = graph.initializers.map(({ name }) => name)
  expect(names).toEqual(expect.arrayContaining(backboneRows(plainBackbone(tiny)).map(({ name }) => name)))
  const weight = graph.initializers.find(({ name }) => name === 'blocks.1.mlp.fc1.weight')!
  expect(weight.shape).toEqual([24, 96]) // [in, out], as ONNX multiplies
  // Positions are a constant of one row, looked up by nobody.
  expect(graph.nodes.filter(({ op }) => op === 'GatherElements')).toEqual([])
  expect(graph.initializers.map(({ shape }) => shape.join())).toContain('1,15,24')
  expect(graph.inputs).toEqual([{ name: 'pixels', type: 'float32', shape: [{ batch: 1 }, 3, 6, 10] }])
  expect(graph.outputs.map(({ name, shape }) => [name, ...shape])).toEqual([
    ['cls', { batch: 1 }, 24],
    ['mean', { batch: 1 }, 24],
    ['patches', { batch: 1 }, 15, 24],
  ])
})

it('refuses a model that is told dates', () => {
  expect(() => encoderGraph(encoderOf(series, { statistics: range, rasters: true }))).toThrow(
    'told dates (model.time month, hour)',
  )
})
