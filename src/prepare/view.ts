/** The input of models: pixels on the device, with validity, times and resolution. */
import { call } from '../tensor/call.ts'
import { mul, reshape, sub, sum, toDtype, unsqueeze } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import { item, type Tensor } from '../tensor/tensor.ts'

export interface View {
  /** [B, T, C, H, W], normalised; zeros for no data. */
  readonly pixels: Tensor
  /** [B, T, H, W] float32: 1 for data, 0 for none. Null if all pixels have data. */
  readonly valid: Tensor | null
  /** [B · T] ms since 1970 (UTC), NaN if unknown; null if no frame has a date. */
  readonly times: Float64Array | null
  /** [B] metres per pixel; null if unknown. */
  readonly resolution: Float64Array | null
  /** [B, L] 1 for patches that the images' own masks hide; absent without masks. */
  readonly hidden?: Uint8Array
}

/** A view of images [B, C, H, W] (one frame) or [B, T, C, H, W], without metadata. Called inside a scope. */
export function viewOf(images: Tensor): View {
  if (images.shape.length === 5) return { pixels: images, valid: null, times: null, resolution: null }
  const [B, C, H, W] = expectShape(images, ['B', 'C', 'H', 'W'], 'images')
  return { pixels: reshape(images, [B, 1, C, H, W]), valid: null, times: null, resolution: null }
}

/**
 * Replaces NaN (no data) in pixels [B, T, C, H, W] by zeros and returns the mask of valid pixels. A pixel without one band counts as
 * invalid. On the CPU, since it tests whether there are any.
 */
export function withoutNaN(pixels: Tensor): Pick<View, 'pixels' | 'valid'> {
  return scope(() => {
    const missing = toDtype(call('any.dim', call('isnan', pixels), 2, false), 'float32') // [B, T, H, W]
    if (item(sum(missing)) === 0) return { pixels, valid: null }
    const valid = sub(mul(missing, -1), -1)
    const known = call('nan_to_num', pixels, 0, null, null)
    return { pixels: mul(known, unsqueeze(valid, 2)), valid }
  })
}
