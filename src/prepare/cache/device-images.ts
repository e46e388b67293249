/**
 * Images that stay on the device as bytes, and samples cut out of them there, to the same bytes as by `resizePixels`: a box is resized by two
 * products with matrices of its own weights. Weights are whole numbers, and sums of their products with bytes are exact in float64; so is
 * rounding to bytes between the products and behind them. Nothing here waits for the device, and shapes depend on the batch size alone.
 */
import { SherdError } from '../../errors.ts'
import type { Size } from '../../source/box.ts'
import type { PackedImages } from '../../source/packed-images.ts'
import { call, callInPlace } from '../../tensor/call.ts'
import {
  add,
  arange,
  contiguous,
  indexSelect,
  matmul,
  mul,
  narrow,
  permute,
  reshape,
  select,
  sub,
  toDevice,
  toDtype,
  transpose,
  zeros,
} from '../../tensor/ops.ts'
import { disposeAll, scope, unscoped } from '../../tensor/scope.ts'
import { type Device, fromArray, type Tensor, tensor } from '../../tensor/tensor.ts'
import { type PixelRules, PRECISION_BITS, tapsOf } from '../decode/resize.ts'
import { type ChannelStatistics, type Scaling, scalingOf } from '../normalize.ts'
import { placeFields } from './placed-reader.ts'

/** One side of all boxes: how they are resized to `outputs` pixels. */
interface Axis {
  /** Pixels of a stored image. */
  readonly inputs: number
  readonly outputs: number
  /** [side of a box from 0 to inputs, outputs, inputs + 1] float32: weights of the box's pixels, zeros behind them. */
  readonly weights: Tensor
  /** 0 … outputs − 1 [outputs, 1], and 0 … inputs − 1 [1, inputs], int64. */
  readonly positions: Tensor
  readonly taps: Tensor
  /** What added to a position gives that of a mirrored sample [outputs, 1]. */
  readonly mirrored: Tensor
}

export interface DeviceImages {
  readonly device: Device
  /** [N, h, C, w] uint8: the order in which both products find what they sum beside each other. */
  readonly pixels: Tensor
  /** By the samples' height and width, such as `32x32`. */
  readonly axes: ReadonlyMap<string, { readonly down: Axis; readonly across: Axis }>
  /** Of the samples, 1 or 3. */
  readonly channels: number
  readonly scaling: Scaling
  /** Of red, green and blue in luma, times 2¹⁶ [3, 1] float64. */
  readonly lumaShares: Tensor
}

export interface DeviceImagesRequest {
  /** Sizes of samples. */
  readonly targets: readonly Size[]
  readonly channels: number
  readonly rules: PixelRules | undefined
  readonly statistics: ChannelStatistics
  readonly device: Device
}

const nameOf = ({ height, width }: Size) => `${height}x${width}`

const tableLength = (inputs: number, outputs: number) => (inputs + 1) * outputs * (inputs + 1)

/** Of the images and of what cuts them. */
export const bytesOnDevice = (
  images: number,
  { width, height }: Size,
  { targets, channels }: { targets: readonly Size[]; channels: number },
): number =>
  targets.reduce(
    (sum, target) => sum + 4 * (tableLength(width, target.width) + tableLength(height, target.height)),
    images * width * height * channels,
  )

/** Weights of every side that a box can have, so that they are those of `resizePixels`, bit by bit. */
function axisOf(inputs: number, outputs: number, { rules = {}, device }: DeviceImagesRequest): Axis {
  const table = new Float32Array(tableLength(inputs, outputs))
  for (let side = 1; side <= inputs; side++) {
    const { first, count, weights, stride } = tapsOf(
      { inputs: side, outputs, skip: 0, wanted: outputs },
      rules,
    )
    for (let o = 0; o < outputs; o++)
      for (let i = 0; i < count[o]!; i++)
        table[(side * outputs + o) * (inputs + 1) + first[o]! + i] =
          weights[o * stride + i]! * 2 ** -PRECISION_BITS
  }
  const positions = reshape(arange(outputs), [outputs, 1])
  const on = (x: Tensor) => toDevice(x, device)
  return {
    ...{ inputs, outputs, weights: on(tensor(table, [table.length])) },
    ...{ positions: on(positions), taps: on(reshape(arange(inputs), [1, inputs])) },
    mirrored: on(add(mul(positions, -2), outputs - 1)),
  }
}

/** `held`: of one size, all in memory. Outlives every scope. Throws `CONFIG` where the device has no room. */
export function openDeviceImages(
  { pack, files, dir }: PackedImages,
  { height, width }: Size,
  request: DeviceImagesRequest,
): DeviceImages {
  const { device, targets, channels, statistics } = request
  const C = pack.channels
  const each = height * width * C
  const make = (): DeviceImages => {
    const pixels = zeros([files.length, height, C, width], { dtype: 'uint8', device })
    for (const [number, { first, held }] of pack.files.entries()) {
      const end = pack.files[number + 1]?.first ?? files.length
      for (let from = first; from < end; from++) {
        if (pack.unusable?.has(from)) continue
        let to = from + 1
        while (to < end && !pack.unusable?.has(to)) to++
        scope(() => {
          const at = pack.offsets[from]! - pack.offsets[first]!
          const bytes = held!.slice(at, at + (to - from) * each)
          const images = fromArray(bytes, [to - from, height, width, C], 'uint8')
          const own = contiguous(permute(images, [0, 1, 3, 2])) // [n, h, C, w]
          callInPlace('copy_', narrow(pixels, 0, from, to - from), own)
        })
        from = to
      }
    }
    const axes = targets.map((target) => {
      const down = axisOf(height, target.height, request)
      return [nameOf(target), { down, across: axisOf(width, target.width, request) }] as const
    })
    const lumaShares = toDevice(toDtype(tensor([19595, 38470, 7471], [3, 1]), 'float64'), device)
    const scaling = scalingOf(statistics, device)
    return { device, pixels, axes: new Map(axes), channels, scaling, lumaShares }
  }
  try {
    return unscoped(() => scope(make))
  } catch (error) {
    if (!(error instanceof SherdError) || !/out of memory/i.test(error.message)) throw error
    throw new SherdError(
      'CONFIG',
      `data.cache=device: the images of ${dir} do not fit into the memory of ${device}. Take data.cache=memory, or fewer or smaller images.`,
      { cause: error },
    )
  }
}

export const disposeDeviceImages = (images: DeviceImages): void => disposeAll(images)

/** at, side, flip [B, 1, 1] → the weights of every pixel of a stored line [B, outputs, inputs] float64; zeros beside the box. */
function weightsOf(axis: Axis, [at, side, flip]: readonly Tensor[]): Tensor {
  const { weights, positions, taps, mirrored, inputs, outputs } = axis
  return scope(() => {
    const stride = inputs + 1
    const output = flip ? add(positions, mul(flip, mirrored)) : positions // [B, outputs, 1]
    // What lies before the box comes from behind it in the table, where weights are zero.
    const tap = call('remainder.Scalar', sub(taps, at!), stride) // [B, 1, inputs]
    const line = add(mul(side!, outputs), output) // [B, outputs, 1]
    return toDtype(call('take', weights, add(mul(line, stride), tap)), 'float64') // [B, outputs, inputs]
  })
}

/** Pillow's rounding of sums of weighted bytes, in place. */
function toBytes(sums: Tensor): Tensor {
  callInPlace('add_.Scalar', sums, 0.5, 1)
  callInPlace('floor_', sums)
  callInPlace('clamp_', sums, 0, 255)
  return sums
}

/** places [B, 6] int32 (placeFields) → samples [B, H, W, C] float32 of whole numbers from 0 to 255. */
export function cutOnDevice(images: DeviceImages, places: Tensor, target: Size): Tensor {
  const { down, across } = images.axes.get(nameOf(target))!
  return scope(() => {
    const [B] = places.shape as [number]
    const [, h, C, w] = images.pixels.shape as [number, number, number, number]
    const { height: H, width: W } = target
    const numbers = toDtype(places, 'int64')
    const [index, left, top, width, height, flip] = placeFields.map((_, i) =>
      select(numbers, 1, i),
    ) as Tensor[]
    const perSample = (values: Tensor) => reshape(values, [B, 1, 1])
    const pixels = toDtype(indexSelect(images.pixels, 0, index!), 'float64') // [B, h, C, w]
    const columns = weightsOf(across, [left!, width!, flip!].map(perSample)) // [B, W, w]
    const rows = weightsOf(down, [top!, height!].map(perSample)) // [B, H, h]
    const narrowed = toBytes(call('bmm', reshape(pixels, [B, h * C, w]), transpose(columns, 1, 2))) // [B, h · C, W]
    const resized = toBytes(call('bmm', rows, reshape(narrowed, [B, h, C * W]))) // [B, H, C · W]
    const samples = permute(reshape(resized, [B, H, C, W]), [0, 1, 3, 2]) // [B, H, W, C]
    if (C === images.channels) return toDtype(samples, 'float32')
    const sums = matmul(samples, images.lumaShares) // [B, H, W, 1]
    return toDtype(call('floor', mul(add(sums, 0x8000), 2 ** -16)), 'float32') // as sample-layout.ts
  })
}
