/**
 * Images to patches and back. Patches are in row-major order; inside a patch the order is row, column, channel (channel
 * last), which is the order of the pixel target (He et al. 2021; `reference/FORMAT.md`).
 */
import { contiguous, permute, reshape } from '../tensor/ops.ts'
import { expectShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type Grid, gridOf } from './grid.ts'

/** images [B, C, H, W] → patches [B, N, P·P·C]. */
export function patchify(images: Tensor, patchSize: number): Tensor {
  const [B, C, H, W] = expectShape(images, ['B', 'C', 'H', 'W'], 'patchify: images')
  const P = patchSize
  const { h, w } = gridOf([H, W], P)
  const cut = reshape(images, [B, C, h, P, w, P])
  return reshape(permute(cut, [0, 2, 4, 3, 5, 1]), [B, h * w, P * P * C])
}

/** patches [B, N, P·P·C] → images [B, C, H, W]; the inverse of `patchify`. */
export function unpatchify(
  patches: Tensor,
  { patchSize: P, grid }: { patchSize: number; grid: Grid },
): Tensor {
  const { h, w } = grid
  const [B, , width] = expectShape(patches, ['B', h * w, 'P·P·C'], 'unpatchify: patches')
  const C = width / (P * P)
  const cut = reshape(patches, [B, h, w, P, P, C])
  return contiguous(reshape(permute(cut, [0, 5, 1, 3, 2, 4]), [B, C, h * P, w * P]))
}
