/** The input that all graphs have: pixels as the files have them. What makes them a model's images is in the graph. */
import { SherdError } from '../errors.ts'
import { normalizeBytes, normalizeValues } from '../prepare/normalize.ts'
import { type View, viewOf } from '../prepare/view.ts'
import { permute, reshape } from '../tensor/ops.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import { type FrozenEncoder, readView } from '../weights/frozen-encoder.ts'

export const inputName = 'pixels'

/** `rasters`: whether its samples are rasters, as its configuration says. */
export type ExportedEncoder = FrozenEncoder & { readonly rasters: boolean }

/** What a graph is told of its pixels. */
export interface PixelsInput {
  /** The values are those of the files: bytes 0 … 255, or a raster's units with NaN where there is no data. */
  readonly values: 'bytes' | 'units'
  /** Without the batch: [C, H, W], or [T, C, H, W] of several frames. */
  readonly shape: readonly number[]
  /** Of graphs that take other heights and widths, too: what both must be a multiple of, and the largest. */
  readonly grid?: { readonly multipleOf: number; readonly most: number } | undefined
}

export function pixelsInput({ shape, channels, rasters }: ExportedEncoder): PixelsInput {
  const { dimensions, frames } = shape
  const image = [channels?.length ?? dimensions.channels, ...dimensions.imageSize]
  return { values: rasters ? 'units' : 'bytes', shape: frames === 1 ? image : [frames, ...image] }
}

/** Throws `VALUE` for a model that is not on the CPU. */
export function checkRecordable({ device }: ExportedEncoder): void {
  if (device !== 'cpu')
    throw new SherdError('VALUE', `A model is recorded on the CPU, and this one is on ${device}`)
}

/** Pixels to record with. Of rasters one is missing, so that the way of missing data is taken. Called inside a scope. */
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
