/** The input of all graphs: pixels as in the files. Normalisation is in the graph. */
import { SherdError } from '../errors.ts'
import { normalizeBytes, normalizeValues } from '../prepare/normalize.ts'
import { type View, viewOf } from '../prepare/view.ts'
import { permute, reshape } from '../tensor/ops.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { PatchSize } from '../token/grid.ts'
import { type FrozenEncoder, readView } from '../weights/frozen-encoder.ts'

export const inputName = 'pixels'

/** `rasters`: whether its samples are rasters, by its configuration. */
export type ExportedEncoder = FrozenEncoder & { readonly rasters: boolean }

export interface PixelsInput {
  /** bytes: 0 … 255; units: a raster's values, with NaN for no data. */
  readonly values: 'bytes' | 'units'
  /** Without the batch: [C, H, W], or [T, C, H, W] for several frames. */
  readonly shape: readonly number[]
  /** For graphs of dynamic size: the patch, and the largest side. */
  readonly grid?: { readonly multipleOf: number | PatchSize; readonly most: number } | undefined
}

export function pixelsInput({ shape, channels, rasters }: ExportedEncoder): PixelsInput {
  const { dimensions, frames } = shape
  const image = [channels?.length ?? dimensions.channels, ...dimensions.imageSize]
  return { values: rasters ? 'units' : 'bytes', shape: frames === 1 ? image : [frames, ...image] }
}

/** Throws `VALUE` unless the model is on the CPU. */
export function checkRecordable({ device }: ExportedEncoder): void {
  if (device !== 'cpu')
    throw new SherdError('VALUE', `A model is recorded on the CPU, and this one is on ${device}`)
}

/** Pixels for tracing. One of a raster's is NaN, so that the code for missing data is traced. Called inside a scope. */
export function blankPixels(encoder: ExportedEncoder, batch: number): Tensor {
  const { shape } = pixelsInput(encoder)
  const values = new Float32Array(batch * shape.reduce((a, b) => a * b, 1))
  if (encoder.rasters) values[0] = Number.NaN
  return tensor(values, [batch, ...shape])
}

/** Pixels [B, C, H, W] or [B, T, C, H, W] as the view of the model. Called inside a scope. */
export function viewOfPixels(encoder: ExportedEncoder, pixels: Tensor): View {
  const { frames } = encoder.shape
  const [B] = pixels.shape as readonly [number]
  return readView(encoder, (own) => {
    if (!encoder.rasters)
      return viewOf(permute(normalizeBytes(permute(pixels, [0, 2, 3, 1]), own), [0, 3, 1, 2]))
    const known = normalizeValues(reshape(pixels, [B, frames, ...pixels.shape.slice(-3)]), own)
    return { ...known, times: null, resolution: null }
  })
}
