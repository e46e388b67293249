// Encoders to export, and samples for them, in which nothing is zero or one by chance.

import type { Indices, ModelParts } from '../../src/export/graphs.ts'
import type { ExportedClassifier, ExportedSegmenter } from '../../src/export/head-graphs.ts'
import type { ExportedEncoder } from '../../src/export/pixels-input.ts'
import { backboneRows } from '../../src/model/backbone.ts'
import type { BackboneShape } from '../../src/model/backbone-shape.ts'
import { classifierRows, type Head, heads } from '../../src/model/classifier.ts'
import { outputRows } from '../../src/model/own-output.ts'
import type { SegmentationHead } from '../../src/model/segmentation-heads.ts'
import { type MaeOptions, mae } from '../../src/objective/mae.ts'
import type { Pixels, RasterPixels } from '../../src/prepare/pixels.ts'
import { segmentationShape, segmenterRows } from '../../src/weights/frozen-segmenter.ts'
import { stirredParameters, tinyDecoder } from '../model/tiny-model.ts'
import { wave } from '../tolerance.ts'

const plain = { only: null, channels: null, device: 'cpu', precision: 'float32', rasters: false } as const

export function encoderOf(shape: BackboneShape, over: Partial<ExportedEncoder> = {}): ExportedEncoder {
  const { channels } = shape.dimensions
  const parameters =
    over.parameters ?? stirredParameters({ rows: [...backboneRows(shape), ...outputRows(shape.dimensions)] })
  const statistics = {
    mean: wave(channels, 1).map((x) => 0.4 + x / 10),
    std: wave(channels, 2).map((x) => 0.2 + x / 20),
  }
  return { ...plain, shape, dimensions: shape.dimensions, parameters, statistics, ...over }
}

export const bytes = (B: number, [H, W]: readonly [number, number], C: number): Pixels => ({
  pixels: Uint8Array.from(wave(B * H * W * C), (x) => 128 + 127 * x),
  shape: [B, H, W, C],
})

/** Values in which every fifth number or so is missing. */
export function rasters(B: number, { dimensions, frames }: BackboneShape, channels: number): RasterPixels {
  const [H, W] = dimensions.imageSize
  const values = Float32Array.from(wave(B * frames * channels * H * W), (x, i) =>
    i % 50 < 9 ? Number.NaN : 10 + 5 * x,
  )
  const unknown = (count: number) => new Float64Array(count).fill(Number.NaN)
  return {
    ...{ pixels: values, shape: [B, frames, channels, H, W] },
    ...{ times: unknown(B * frames), resolution: unknown(B) },
  }
}

/** Of the values of `rasters`. */
export const range = { mean: [10, 9, 11, 10], std: [3, 2, 4, 3] }

/** With a decoder. */
export function modelOf(
  shape: BackboneShape,
  options: Partial<MaeOptions> = {},
  over: Parameters<typeof encoderOf>[1] = {},
): ModelParts {
  const usual = { decoder: tinyDecoder, maskRatio: 0.6, device: 'cpu' } as const
  const given: MaeOptions = { ...shape, ...usual, ...options }
  const objective = mae(given)
  const parameters = stirredParameters(objective)
  const autoencoder = { objective, recorded: mae({ ...given, embed: 'all' }), parameters }
  return { ...encoderOf(shape, { parameters, ...over }), autoencoder }
}

/** `kept` of N tokens of each sample, in an order without a pattern. */
export function maskOf(B: number, N: number, kept: number): Record<'kept' | 'hidden', Indices> {
  const noise = wave(B * N, kept)
  const orders = Array.from({ length: B }, (_, b) =>
    Array.from({ length: N }, (_, n) => n)
      .sort((m, n) => noise[b * N + m]! - noise[b * N + n]!)
      .map(BigInt),
  )
  const part = (from: number, to: number): Indices => ({
    values: BigInt64Array.from(orders.flatMap((order) => order.slice(from, to))),
    shape: [B, to - from],
  })
  return { kept: part(0, kept), hidden: part(kept, N) }
}

type Over = Parameters<typeof encoderOf>[1]
const classes = ['a', 'b', 'c']

/** With a head that says three classes. */
export function classifierOf(head: Head, backbone: BackboneShape, over: Over = {}): ExportedClassifier {
  const parameters = stirredParameters({ rows: classifierRows({ backbone, classes: 3, head }) })
  return { ...encoderOf(backbone, { ...over, parameters, norm: heads[head].norm }), head, classes }
}

/** With a head that says three classes of every pixel. */
export function segmenterOf(
  head: SegmentationHead,
  shape: BackboneShape,
  over: Over = {},
): ExportedSegmenter {
  const own = segmentationShape({ shape, only: over?.only ?? null }, { classes: 3, ignored: 255 })
  const rows = [...backboneRows(shape), ...segmenterRows(head, own)]
  return {
    ...encoderOf(shape, { ...over, parameters: stirredParameters({ rows }) }),
    segmenter: head,
    classes,
  }
}
