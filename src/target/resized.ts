/** Pictures and maps of features at another size, on the device: bicubic and bilinear, with antialiasing where they shrink. */
import { call } from '../tensor/call.ts'
import { permute, reshape } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Grid } from '../token/grid.ts'

/** Pixels [B, T, C, H, W] at [height, width]; the same tensor where they have that size. */
export function resizedPixels(pixels: Tensor, [height, width]: readonly [number, number]): Tensor {
  const [B, T, C, H, W] = pixels.shape as readonly [number, number, number, number, number]
  if (H === height && W === width) return pixels
  return scope(() => {
    const flat = reshape(pixels, [B * T, C, H, W])
    const made = call('_upsample_bicubic2d_aa', flat, [height, width], false, null, null)
    return reshape(made, [B, T, C, height, width])
  })
}

/** Tokens [B, N, D] of one grid on another. */
export function onGrid(tokens: Tensor, from: Grid, to: Grid): Tensor {
  const [B, , D] = tokens.shape as readonly [number, number, number]
  if (from.h === to.h && from.w === to.w) return tokens
  return scope(() => {
    const map = permute(reshape(tokens, [B, from.h, from.w, D]), [0, 3, 1, 2])
    const made = call('_upsample_bilinear2d_aa', map, [to.h, to.w], false, null, null)
    return reshape(permute(made, [0, 2, 3, 1]), [B, to.h * to.w, D])
  })
}
