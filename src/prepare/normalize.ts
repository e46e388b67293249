/** Bytes to network input, on the device: uint8 [B, H, W, C] → float32 [B, C, H, W], (x / 255 − mean) / std per channel. */
import { mul, permute, sub, toDevice, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, fromArray, type Tensor, tensor } from '../tensor/tensor.ts'

/** Per channel, of bytes divided by 255. */
export interface ChannelStatistics {
  readonly mean: readonly number[]
  readonly std: readonly number[]
}

/** Of ImageNet's training images, as the reference recipes use them. */
export const imagenetStatistics: ChannelStatistics = {
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
}

export interface Pixels {
  /** [B, H, W, C] */
  readonly pixels: Uint8Array
  readonly shape: readonly [B: number, H: number, W: number, C: number]
}

/** Copies the bytes to the device and normalises them there. */
export function normalizePixels(
  { pixels, shape }: Pixels,
  { mean, std }: ChannelStatistics,
  device: Device,
): Tensor {
  return scope(() => {
    const C = shape[3]
    const scale = toDevice(
      tensor(
        std.map((s) => 1 / (255 * s)),
        [C],
      ),
      device,
    )
    const shift = toDevice(
      tensor(
        mean.map((m, c) => m / std[c]!),
        [C],
      ),
      device,
    )
    const bytes = toDevice(fromArray(pixels, shape, 'uint8'), device)
    return permute(sub(mul(toDtype(bytes, 'float32'), scale), shift), [0, 3, 1, 2])
  })
}
