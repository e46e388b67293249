/** A batch as a model gets it: pixels on the device, and what is known about them. */
import { call } from '../tensor/call.ts'
import { mul, reshape, sub, sum, toDtype, unsqueeze } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import { item, type Tensor } from '../tensor/tensor.ts'

export interface View {
  /** [B, T, C, H, W], normalised; zeros where there is no data. */
  readonly pixels: Tensor
  /** [B, T, H, W] float32: 1 where there is data, 0 where not. Null when there is data everywhere. */
  readonly valid: Tensor | null
  /** [B · T] milliseconds since 1970 (UTC), NaN where unknown; null when no frame has a date. */
  readonly times: Float64Array | null
  /** [B] metres a pixel; null when unknown. */
  readonly resolution: Float64Array | null
}

/** The view of images [B, C, H, W] of one frame, or [B, T, C, H, W], of which nothing else is known. Called inside a scope. */
export function viewOf(images: Tensor): View {
  if (images.shape.length === 5) return { pixels: images, valid: null, times: null, resolution: null }
  const [B, C, H, W] = expectShape(images, ['B', 'C', 'H', 'W'], 'images')
  return { pixels: reshape(images, [B, 1, C, H, W]), valid: null, times: null, resolution: null }
}

/**
 * Pixels [B, T, C, H, W] in which NaN is no data: zeros in its place, and where there is data. A pixel that lacks one band counts as
 * lacking all. On the CPU, since it looks whether there is any.
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
