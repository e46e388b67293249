/** What a frozen encoder makes of images. It sees all patches: feature extraction never masks. */
import { SherdError } from '../errors.ts'
import {
  type Backbone,
  type BackboneShape,
  type EncodeAllOptions,
  type Encoded,
  openBackbone,
} from '../model/backbone.ts'
import { type EncoderNorm, pooled } from '../model/classifier.ts'
import type { EncoderDimensions } from '../model/dimensions.ts'
import { type Parameters, weightsOf } from '../model/parameters.ts'
import type { OrderedImages } from '../prepare/loader/in-order.ts'
import { type ChannelStatistics, type Pixels, toView } from '../prepare/normalize.ts'
import type { View } from '../prepare/view.ts'
import { autocast, noGrad } from '../tensor/context.ts'
import { cat, indexSelect, toDevice, toDtype, zeros } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, fromArray, type Tensor, toFloats } from '../tensor/tensor.ts'
import { type Pooling, poolings } from '../token/pool.ts'
import type { Precision } from '../train/trainee.ts'

/** An encoder that is used, not trained. */
export interface FrozenEncoder {
  readonly shape: BackboneShape
  /** Those of the shape. */
  readonly dimensions: EncoderDimensions
  readonly parameters: Parameters
  /**
   * `norm` where nothing is said. With `fc_norm`, of a classifier that reads the mean, tokens (and cls) are as the blocks leave them, and
   * the mean goes through the norm, as its head reads it.
   */
  readonly norm?: EncoderNorm
  readonly statistics: ChannelStatistics
  readonly device: Device
  readonly precision: Precision
  /** The groups of bands that it sees; null for all. */
  readonly only?: readonly number[] | null
  /** Where samples lack bands: the channel of the model that each of theirs is; null when they have all. */
  readonly channels?: readonly number[] | null
}

/** Samples as the encoder gets them, whichever of its bands they have. Called inside a scope. */
export const viewFor = (encoder: ReadingEncoder, pixels: Pixels): View =>
  readView(encoder, (statistics) => toView(pixels, statistics, encoder.device))

/** What of an encoder says how samples become its images. */
export type ReadingEncoder = Pick<FrozenEncoder, 'statistics' | 'device' | 'channels' | 'shape'>

/** The same of samples that `normalize` reads, with the statistics of the bands that there are. */
export function readView(
  { statistics, channels, shape }: ReadingEncoder,
  normalize: (statistics: ChannelStatistics) => View,
): View {
  if (!channels) return normalize(statistics)
  const own = (values: readonly (number | null)[]) => channels.map((channel) => values[channel]!)
  const { mean, std, low, high } = statistics
  const clipping = low && high ? { low: own(low), high: own(high) } : {}
  const view = normalize({ mean: own(mean) as number[], std: own(std) as number[], ...clipping })
  return { ...view, pixels: spreadBands(view.pixels, channels, shape.dimensions.channels) }
}

/** pixels [B, T, c, H, W] → [B, T, C, H, W]: each band at its place among all, zeros for those that are not there. */
function spreadBands(pixels: Tensor, channels: readonly number[], all: number): Tensor {
  const [B, T, c, H, W] = pixels.shape as readonly [number, number, number, number, number]
  return scope(() => {
    const { device } = pixels
    const which = BigInt64Array.from({ length: all }, (_, channel) => {
      const place = channels.indexOf(channel)
      return BigInt(place < 0 ? c : place) // behind the bands there are zeros
    })
    const padded = cat([pixels, zeros([B, T, 1, H, W], { device })], 2)
    return indexSelect(padded, 2, toDevice(fromArray(which, [all], 'int64'), device))
  })
}

/** What an encoder makes of images, by its backbone: all that it may see, normed as its tokens are. */
export const encodeImages = (
  { parameters, only = null, norm = 'norm' }: FrozenEncoder,
  backbone: Backbone,
  view: View,
  options: Pick<EncodeAllOptions, 'onAttention' | 'positions'> = {},
): Encoded => backbone.encodeAll(view, weightsOf(parameters), { only, norm: norm === 'norm', ...options })

/** pixels → tokens [B, 1 + N, D] in float32; row 0 is cls. They are normed, but for an encoder whose norm is `fc_norm`. */
export function tokensOf(
  encoder: FrozenEncoder,
  options: Pick<EncodeAllOptions, 'onAttention'> = {},
): (pixels: Pixels) => Encoded {
  const { shape, device, precision } = encoder
  const backbone = openBackbone(shape, device)
  return (pixels) =>
    noGrad(() =>
      scope(() => {
        const view = viewFor(encoder, pixels)
        const { tokens, present } = autocast({ device, dtype: precision }, () =>
          encodeImages(encoder, backbone, view, options),
        )
        return { tokens: toDtype(tokens, 'float32'), present }
      }),
    )
}

/** The features [B, D] of tokens, of either pooling. */
export function pooledOf(
  { parameters, dimensions, norm = 'norm' }: Pick<FrozenEncoder, 'parameters' | 'dimensions' | 'norm'>,
  encoded: Encoded,
): Record<Pooling, Tensor> {
  const of = (pooling: Pooling) =>
    pooled(encoded, weightsOf(parameters), { pooling, norm, epsilon: dimensions.layerNormEpsilon })
  return { cls: of('cls'), mean: of('mean') }
}

type Vectors = Readonly<Record<Pooling, Float32Array>>

export interface Features {
  readonly count: number
  readonly width: number
  /** The index in the source of each row. */
  readonly indices: Int32Array
  /** [count, width] of each pooling. */
  readonly vectors: Vectors
}

/** The features of all images, in order. `onBatch` is told how many are done. */
export function extractFeatures(
  encoder: FrozenEncoder,
  images: AsyncIterable<OrderedImages>,
  onBatch?: (done: number) => void,
): Promise<Features> {
  const tokens = tokensOf(encoder)
  const vectorsOf = (batch: Pixels) =>
    noGrad(() =>
      scope(() => {
        const { cls, mean } = pooledOf(encoder, tokens(batch))
        return { cls: toFloats(cls), mean: toFloats(mean) }
      }),
    )
  return gatherFeatures(images, vectorsOf, onBatch)
}

/** Throws `NON_FINITE` where the numbers that a model makes of a sample are none: weights or statistics are wrong, or too large. */
export function expectFiniteRows(values: Float32Array, indices: ArrayLike<number>, what: string): void {
  const at = values.findIndex((value) => !Number.isFinite(value))
  if (at < 0) return
  const row = Math.floor(at / (values.length / indices.length))
  throw new SherdError(
    'NON_FINITE',
    `The model makes ${values[at]} of sample number ${indices[row]} (counted from 0): its ${what} are not finite. Its weights or the statistics that it normalises by are wrong.`,
  )
}

/** The features of all images, in order, by whatever makes [B, D] of a batch. */
export async function gatherFeatures(
  images: AsyncIterable<OrderedImages>,
  vectorsOf: (batch: OrderedImages) => Vectors | Promise<Vectors>,
  onBatch?: (done: number) => void,
): Promise<Features> {
  const parts = { cls: [] as Float32Array[], mean: [] as Float32Array[] }
  const indices: number[] = []
  for await (const batch of images) {
    const made = await vectorsOf(batch)
    for (const pooling of poolings) {
      expectFiniteRows(made[pooling], batch.indices, 'features')
      parts[pooling].push(made[pooling])
    }
    indices.push(...batch.indices)
    onBatch?.(indices.length)
  }
  const joined = (list: readonly Float32Array[]) => {
    const all = new Float32Array(list.reduce((sum, { length }) => sum + length, 0))
    let at = 0
    for (const part of list) {
      all.set(part, at)
      at += part.length
    }
    return all
  }
  const vectors = { cls: joined(parts.cls), mean: joined(parts.mean) }
  const count = indices.length
  return { count, width: vectors.cls.length / (count || 1), indices: Int32Array.from(indices), vectors }
}
