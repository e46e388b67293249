/** A frozen encoder for inference, without masking. */
import { SherdError } from '../errors.ts'
import { type Backbone, type EncodeAllOptions, openBackbone } from '../model/backbone.ts'
import type { BackboneShape } from '../model/backbone-shape.ts'
import { type EncoderNorm, pooled } from '../model/classifier.ts'
import type { EncoderDimensions } from '../model/dimensions.ts'
import type { Encoded } from '../model/encoder.ts'
import { type Parameters, weightsOf } from '../model/parameters.ts'
import type { OrderedImages } from '../prepare/loader/in-order.ts'
import { type ChannelStatistics, toView } from '../prepare/normalize.ts'
import type { Pixels } from '../prepare/pixels.ts'
import type { View } from '../prepare/view.ts'
import { autocast, noGrad } from '../tensor/context.ts'
import { cat, indexSelect, toDevice, toDtype, zeros } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, fromArray, type Tensor, toFloats } from '../tensor/tensor.ts'
import { type Pooling, poolings } from '../token/pool.ts'
import type { Precision } from '../train/trainee.ts'

export interface FrozenEncoder {
  readonly shape: BackboneShape
  readonly dimensions: EncoderDimensions
  readonly parameters: Parameters
  /**
   * Default `norm`. With `fc_norm` (classifiers that read the mean), tokens and cls are not normed, and the norm is applied to the mean.
   */
  readonly norm?: EncoderNorm
  readonly statistics: ChannelStatistics
  readonly device: Device
  readonly precision: Precision
  /** The groups of bands to encode; null for all. */
  readonly only?: readonly number[] | null
  /** If samples lack bands: the model's channel of each of theirs; else null. */
  readonly channels?: readonly number[] | null
}

/** The samples as the encoder's input, also if they lack bands. Called inside a scope. */
export const viewFor = (encoder: ReadingEncoder, pixels: Pixels): View =>
  readView(encoder, (statistics) => toView(pixels, statistics, encoder.device))

export type ReadingEncoder = Pick<FrozenEncoder, 'statistics' | 'device' | 'channels' | 'shape'>

/** `normalize` gets the statistics of the samples' own bands. */
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

/** pixels [B, T, c, H, W] → [B, T, C, H, W]: scatters bands to their channels; zeros for missing ones. */
function spreadBands(pixels: Tensor, channels: readonly number[], all: number): Tensor {
  const [B, T, c, H, W] = pixels.shape as readonly [number, number, number, number, number]
  return scope(() => {
    const { device } = pixels
    const which = BigInt64Array.from({ length: all }, (_, channel) => {
      const place = channels.indexOf(channel)
      return BigInt(place < 0 ? c : place) // index c: the appended zeros
    })
    const padded = cat([pixels, zeros([B, T, 1, H, W], { device })], 2)
    return indexSelect(padded, 2, toDevice(fromArray(which, [all], 'int64'), device))
  })
}

export const encodeImages = (
  { parameters, only = null, norm = 'norm' }: FrozenEncoder,
  backbone: Backbone,
  view: View,
  options: Pick<EncodeAllOptions, 'taps' | 'positions'> = {},
): Encoded => backbone.encodeAll(view, weightsOf(parameters), { only, norm: norm === 'norm', ...options })

/** pixels → tokens in float32. Normed, unless the encoder's norm is `fc_norm`. */
export function tokensOf(
  encoder: FrozenEncoder,
  options: Pick<EncodeAllOptions, 'taps'> = {},
): (pixels: Pixels) => Encoded {
  const { shape, device, precision } = encoder
  const backbone = openBackbone(shape, device)
  return (pixels) =>
    noGrad(() =>
      scope(() => {
        const view = viewFor(encoder, pixels)
        const encoded = autocast({ device, dtype: precision }, () =>
          encodeImages(encoder, backbone, view, options),
        )
        return { ...encoded, sequence: toDtype(encoded.sequence, 'float32') }
      }),
    )
}

/** Features [B, D] of tokens, by pooling. */
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
  /** Index in the source of each row. */
  readonly indices: Int32Array
  /** [count, width] by pooling. */
  readonly vectors: Vectors
}

/** Features of all images, in order. `onBatch` gets the number done. */
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

/** Throws `NON_FINITE` if an output is not finite: weights or statistics are wrong. */
export function expectFiniteRows(values: Float32Array, indices: ArrayLike<number>, what: string): void {
  const at = values.findIndex((value) => !Number.isFinite(value))
  if (at < 0) return
  const row = Math.floor(at / (values.length / indices.length))
  throw new SherdError(
    'NON_FINITE',
    `The model makes ${values[at]} of sample number ${indices[row]} (counted from 0): its ${what} are not finite. Its weights or the statistics that it normalises by are wrong.`,
  )
}

/** Features of all images, in order, by a function from a batch to [B, D]. */
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
