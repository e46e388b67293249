// Exported encoders against LibTorch, with batches of sizes that they were not recorded with.
import { describe, expect, it } from 'vitest'
import { encoderGraph } from '../../src/export/encoder-graph.ts'
import { graphs } from '../../src/export/graphs.ts'
import { type ExportedEncoder, inputName, pixelsInput } from '../../src/export/pixels-input.ts'
import { positionsName, positionsOf } from '../../src/export/positions-input.ts'
import { samplesOf } from '../../src/export/sample-input.ts'
import { backboneRows } from '../../src/model/backbone.ts'
import { type BackboneShape, plainBackbone } from '../../src/model/backbone-shape.ts'
import type { Pixels } from '../../src/prepare/pixels.ts'
import { narrow } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { toFloats } from '../../src/tensor/tensor.ts'
import { pool } from '../../src/token/pool.ts'
import { atSize, tokensOf } from '../../src/weights/frozen-encoder.ts'
import { tiny } from '../model/tiny-model.ts'
import { bands, dates, series } from '../model/tiny-series.ts'
import { expectClose, product } from '../tolerance.ts'
import { bytes, encoderOf, range, rasters } from './make-encoder.ts'
import { runGraph, runGraphOn } from './run-graph.ts'

async function expectSame(encoder: ExportedEncoder, pixels: Pixels): Promise<void> {
  const graph = encoderGraph(encoder)
  const { values, shape } = samplesOf(pixels)
  expect(shape.slice(1)).toEqual(pixelsInput(encoder).shape)
  const made = await runGraph(graph, values, shape)
  scope(() => {
    const encoded = tokensOf(encoder)(pixels)
    const [B, all, D] = encoded.sequence.shape as [number, number, number]
    expect(made.patches!.shape).toEqual([B, all - 1, D])
    expect(made.patches!.values.length).toBe(product([B, all - 1, D]))
    expectClose(made.cls!.values, toFloats(pool.cls(encoded)), 1e-5)
    expectClose(made.mean!.values, toFloats(pool.mean(encoded)), 1e-5)
    expectClose(made.patches!.values, toFloats(narrow(encoded.sequence, 1, 1, all - 1)), 1e-5)
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

describe('of any grid', () => {
  const most = 32 // pixels: 16 places
  const onGrids = async (
    encoder: ExportedEncoder,
    sizes: readonly (readonly [number, number])[],
    pixelsOf: (sized: ExportedEncoder, B: number) => Pixels,
  ) => {
    const graph = encoderGraph(encoder, { dynamicGrid: { most }, attention: true })
    for (const [i, size] of sizes.entries()) {
      const sized = atSize(encoder, size)
      const pixels = pixelsOf(sized, [4, 1, 2][i % 3]!)
      const wanted = ['cls', 'mean', 'patches', 'attention']
      const right = graphs.encoder.reference(sized, wanted)(pixels, {})
      const { values, shape } = samplesOf(pixels)
      const made = await runGraph(graph, values, shape)
      const N = (sized.shape.groups?.length ?? 1) * sized.shape.frames * (size[0] / 2) * (size[1] / 2)
      expect(made.patches!.shape).toEqual([pixels.shape[0], N, 24])
      for (const name of wanted) expectClose(made[name]!.values, right[name]!, 1e-5)
    }
  }

  it('computes what a model of that grid does', () =>
    onGrids(
      encoderOf(plainBackbone(tiny)),
      [
        [6, 10],
        [2, 2],
        [4, 32],
        [14, 6],
      ],
      ({ dimensions }, B) => bytes(B, dimensions.imageSize, 3),
    ))

  it('of groups of bands and frames, with missing data', () =>
    onGrids(
      encoderOf(bandSeries, { statistics: range, rasters: true }),
      [
        [4, 6],
        [6, 2],
      ],
      ({ shape }, B) => rasters(B, shape, bands),
    ))

  it('names height and width, and keeps a table for both sides', () => {
    const graph = encoderGraph(encoderOf(plainBackbone(tiny)), { dynamicGrid: { most } })
    expect(graph.inputs[0]!.shape).toEqual([{ batch: 1 }, 3, { rows: 2 }, { columns: 2 }])
    expect(graph.sizeNames).toEqual({ '2*rows': 'height', '2*columns': 'width' })
    expect(graph.outputs[2]!.shape).toEqual([{ batch: 1 }, { 'rows*columns': 1 }, 24])
    const tables = graph.initializers.filter(({ name }) => name.startsWith('positions.'))
    expect(tables.map(({ name, shape }) => [name, ...shape])).toEqual([['positions.side', 16, 12]])
  })

  it('refuses larger images, and those that the patch does not divide', async () => {
    const encoder = encoderOf(plainBackbone(tiny))
    const graph = encoderGraph(encoder, { dynamicGrid: { most } })
    const run = (H: number, W: number) => runGraph(graph, new Float32Array(3 * H * W), [1, 3, H, W])
    await expect(run(2, 34)).rejects.toThrow('cannot be run on float32[1, 3, 2, 34]')
    await expect(run(2, 5)).rejects.toThrow('cannot be run on float32[1, 3, 2, 5]')
    expect(() => encoderGraph(encoder, { dynamicGrid: { most: 8 } })).toThrow('at least the model')
  })
})

it('gives the attention of cls on request', async () => {
  const encoder = encoderOf(plainBackbone(tiny))
  const { values, shape } = samplesOf(bytes(4, [6, 10], 3))
  const { attention } = await runGraph(encoderGraph(encoder, { attention: true }), values, shape)
  expect(attention!.shape).toEqual([4, tiny.depth, tiny.heads, 16])
  const right = graphs.encoder.reference(encoder, ['attention'])(bytes(4, [6, 10], 3), {})
  expectClose(attention!.values, right.attention!, 1e-6)
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

describe('a model with dates', () => {
  const encoder = encoderOf(series, { statistics: range, rasters: true })

  it('takes positions, which are computed without LibTorch', async () => {
    const graph = encoderGraph(encoder)
    expect(graph.inputs[1]).toEqual({ name: 'positions', type: 'float32', shape: [{ batch: 1 }, 24, 24] })
    const undated = rasters(3, series, bands)
    const [first = 0, second = 0] = dates
    // One of each sample's metres and two dates; a date that nobody knows; a sample of which nothing is known.
    const times = Float64Array.of(...[first, second], ...[second, Number.NaN], ...[Number.NaN, Number.NaN])
    const pixels = { ...undated, times, resolution: Float64Array.of(10, Number.NaN, Number.NaN) }
    const wanted = ['cls', 'mean', 'patches']
    const right = graphs.encoder.reference(encoder, wanted)(pixels, {})
    const inputs = { [inputName]: samplesOf(pixels), [positionsName]: positionsOf(series, pixels) }
    const made = await runGraphOn(graph, inputs)
    for (const name of wanted) expectClose(made[name]!.values, right[name]!, 1e-5)
    // Other dates are not the same.
    const other = await runGraphOn(graph, { ...inputs, [positionsName]: positionsOf(series, undated) })
    expect(Math.abs(other.cls!.values[0]! - right.cls![0]!)).toBeGreaterThan(1e-3)
  })

  it('has no grid of any size, and all of its bands', () => {
    expect(() => encoderGraph(encoder, { dynamicGrid: { most: 32 } })).toThrow(
      'gets its positions as an input',
    )
    expect(() => encoderGraph({ ...encoder, channels: [1], only: [1] })).toThrow('leave --bands out')
  })
})
