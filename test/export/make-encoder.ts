// Encoders to export, and samples for them, in which nothing is zero or one by chance.
import type { ExportedEncoder } from '../../src/export/pixels-input.ts'
import { type BackboneShape, backboneRows } from '../../src/model/backbone.ts'
import type { Pixels } from '../../src/prepare/normalize.ts'
import { stirredParameters } from '../model/tiny-model.ts'
import { wave } from '../tolerance.ts'

const plain = { only: null, channels: null, device: 'cpu', precision: 'float32', rasters: false } as const

export function encoderOf(shape: BackboneShape, over: Partial<ExportedEncoder> = {}): ExportedEncoder {
  const { channels } = shape.dimensions
  const parameters = over.parameters ?? stirredParameters({ rows: backboneRows(shape) })
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
export function rasters(B: number, { dimensions, frames }: BackboneShape, channels: number): Pixels {
  const [H, W] = dimensions.imageSize
  const values = Float32Array.from(wave(B * frames * channels * H * W), (x, i) =>
    i % 50 < 9 ? Number.NaN : 10 + 5 * x,
  )
  const facts = new Float64Array(B * (1 + frames)).fill(Number.NaN)
  return { pixels: new Uint8Array(values.buffer), shape: [B, H, W, channels], rasters: { frames, facts } }
}

/** Of the values of `rasters`. */
export const range = { mean: [10, 9, 11, 10], std: [3, 2, 4, 3] }
