/** A frozen encoder for inference, without masking. */
import { SherdError } from '../errors.ts'
import { type Backbone, type EncodeAllOptions, openBackbone } from '../model/backbone.ts'
import { type BackboneShape, backboneAt } from '../model/backbone-shape.ts'
import type { EncoderDimensions } from '../model/dimensions.ts'
import type { Encoded } from '../model/encoder.ts'
import {
  type EncoderNorm,
  type FeatureSpec,
  featureOf,
  featureReader,
  usualFeatures,
} from '../model/features.ts'
import { type Parameters, weightsOf } from '../model/parameters.ts'
import type { OrderedImages } from '../prepare/loader/in-order.ts'
import { type ChannelStatistics, toView } from '../prepare/normalize.ts'
import { type Pixels, sizeOf } from '../prepare/pixels.ts'
import type { View } from '../prepare/view.ts'
import { autocastFrozen, noGrad } from '../tensor/context.ts'
import { cat, indexSelect, toDevice, toDtype, zeros } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, fromArray, type Tensor, toFloats } from '../tensor/tensor.ts'
import type { FeatureName } from '../token/feature.ts'
import type { Precision } from '../train/trainee.ts'
import { type GatheredRows, type GatherOptions, gatherRows } from './gather-rows.ts'

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

/** Of the samples' own bands. */
export function statisticsOf({
  statistics,
  channels,
}: Pick<ReadingEncoder, 'statistics' | 'channels'>): ChannelStatistics {
  if (!channels) return statistics
  const own = (values: readonly (number | null)[]) => channels.map((channel) => values[channel]!)
  const { mean, std, low, high } = statistics
  const clipping = low && high ? { low: own(low), high: own(high) } : {}
  return { mean: own(mean) as number[], std: own(std) as number[], ...clipping }
}

/** `normalize` gets the statistics of the samples' own bands. */
export function readView(encoder: ReadingEncoder, normalize: (statistics: ChannelStatistics) => View): View {
  const view = normalize(statisticsOf(encoder))
  const { channels, shape } = encoder
  if (!channels) return view
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
  options: Pick<EncodeAllOptions, 'taps' | 'positions' | 'attention' | 'until' | 'norm'> = {},
): Encoded => backbone.encodeAll(view, weightsOf(parameters), { only, norm: norm === 'norm', ...options })

/** The encoder for images of another size, with the same weights. */
export function atSize<Encoder extends FrozenEncoder>(
  encoder: Encoder,
  imageSize: readonly [height: number, width: number],
): Encoder {
  const shape = backboneAt(encoder.shape, imageSize)
  return { ...encoder, dimensions: shape.dimensions, shape }
}

/**
 * pixels → tokens and taps in float32. Normed, unless the encoder's norm is `fc_norm`. Positions follow the size of the images by the model's
 * own rule. Throws `SHAPE` for sides that the patch does not divide.
 */
export function tokensOf(
  encoder: FrozenEncoder,
  options: Pick<EncodeAllOptions, 'taps' | 'until' | 'norm'> = {},
): (pixels: Pixels) => Encoded {
  const { shape, device, precision } = encoder
  const usual = openBackbone(shape, device)
  const backboneFor = (pixels: Pixels) => {
    const size = sizeOf(pixels)
    const isUsual = size.join() === shape.dimensions.imageSize.join()
    return isUsual ? usual : openBackbone(backboneAt(shape, size), device)
  }
  return (pixels) =>
    noGrad(() =>
      scope(() => {
        const view = viewFor(encoder, pixels)
        const encoded = autocastFrozen({ device, dtype: precision }, () =>
          encodeImages(encoder, backboneFor(pixels), view, options),
        )
        const taps = encoded.taps.map((tap) => toDtype(tap, 'float32'))
        return { ...encoded, taps, sequence: toDtype(encoded.sequence, 'float32') }
      }),
    )
}

export interface FeatureValues extends Omit<FeatureSpec, 'name'> {
  /** [count, width], or [count, tokens, width]. */
  readonly values: Float32Array
}
export type FeatureMap = ReadonlyMap<FeatureName, FeatureValues>

export interface Features {
  readonly count: number
  /** Index in the source of each row. */
  readonly indices: Int32Array
  readonly of: FeatureMap
}

/** Throws `VALUE` for one that was not computed. */
export function valuesOf({ of }: Pick<Features, 'of'>, name: FeatureName): FeatureValues {
  const found = of.get(name)
  if (found) return found
  throw new SherdError('VALUE', `There are no features ${name}, only ${[...of.keys()].join(', ')}`)
}

/** Features by their names in a model. Throws `USAGE` for one that it lacks. */
export const featureSpecs = (encoder: FrozenEncoder, names: readonly FeatureName[]): FeatureSpec[] => {
  const specs = names.map((name) => featureOf(encoder, name))
  return [...new Map(specs.map((spec) => [spec.name, spec])).values()]
}

/** The features of a batch, in the order of the specifications. */
export function featuresOfBatch(
  encoder: FrozenEncoder,
  specs: readonly FeatureSpec[],
): (batch: Pixels) => Float32Array[] {
  const { options, read } = featureReader(
    encoder,
    specs.map(({ name }) => name),
  )
  const tokens = tokensOf(encoder, options)
  const weights = weightsOf(encoder.parameters)
  return (batch) => noGrad(() => scope(() => read(tokens(batch), weights).map(toFloats)))
}

export interface ExtractOptions {
  /** Default: cls, mean and, where there is one, the model's own output. */
  readonly features?: readonly FeatureName[]
  /** Gets the number done. */
  readonly onBatch?: ((done: number) => void) | undefined
}

/** Features of all images, in order. */
export async function extractFeatures(
  encoder: FrozenEncoder,
  images: AsyncIterable<Pixels & Pick<OrderedImages, 'indices'>>,
  { features = usualFeatures(encoder), onBatch }: ExtractOptions = {},
): Promise<Features> {
  const limit = { files: Number.POSITIVE_INFINITY, maxShare: 1 }
  const specs = featureSpecs(encoder, features)
  const compute = featuresOfBatch(encoder, specs)
  async function* parts(): AsyncGenerator<OrderedImages> {
    for await (const { indices, ...samples } of images)
      yield { indices, parts: [{ rows: [...indices.keys()], samples: samples as Pixels }] }
  }
  return (await gatherFeatures(specs, { compute, images: parts, onBatch, limit })).features
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

/** Features of all images, in order, by a function from images of one size to each of them. Throws as `gatherRows`. */
export async function gatherFeatures(
  specs: readonly FeatureSpec[],
  options: GatherOptions,
): Promise<{ readonly features: Features } & Pick<GatheredRows, 'skipped' | 'seconds'>> {
  const { indices, parts, ...rest } = await gatherRows({
    ...options,
    check(made, indices) {
      for (const values of made) expectFiniteRows(values, indices, 'features')
    },
  })
  const of = specs.map(
    ({ name, ...spec }, i) => [name, { ...spec, values: parts[i] ?? new Float32Array(0) }] as const,
  )
  return { ...rest, features: { count: indices.length, indices, of: new Map(of) } }
}
