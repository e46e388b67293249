/**
 * Images to patches and back. Patches are in row-major order; inside a patch the order is row, column, channel (channel
 * last), which is the order of the pixel target (He et al. 2021; `reference/FORMAT.md`).
 */
import { contiguous, indexSelect, permute, reshape, toDevice } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import { fromArray, type Tensor } from '../tensor/tensor.ts'
import { type Grid, gridOf, type PatchSides, sidesOf } from './grid.ts'
import type { SpectralGroups } from './spectral-groups.ts'

/** images [B, C, H, W] → patches [B, N, P·P·C]. */
export function patchify(images: Tensor, patchSize: PatchSides): Tensor {
  const [B, C, H, W] = expectShape(images, ['B', 'C', 'H', 'W'], 'patchify: images')
  const { h, w } = gridOf([H, W], patchSize)
  const [P, Q] = sidesOf(patchSize)
  const cut = reshape(images, [B, C, h, P, w, Q])
  return reshape(permute(cut, [0, 2, 4, 3, 5, 1]), [B, h * w, P * Q * C])
}

/** patches [B, N, P·P·C] → images [B, C, H, W]; the inverse of `patchify`. */
export function unpatchify(
  patches: Tensor,
  { patchSize, grid }: { patchSize: PatchSides; grid: Grid },
): Tensor {
  const { h, w } = grid
  const [P, Q] = sidesOf(patchSize)
  const [B, , width] = expectShape(patches, ['B', h * w, 'P·P·C'], 'unpatchify: patches')
  const C = width / (P * Q)
  const cut = reshape(patches, [B, h, w, P, Q, C])
  return contiguous(reshape(permute(cut, [0, 5, 1, 3, 2, 4]), [B, C, h * P, w * Q]))
}

/** pixels [B, T, C, H, W] → the patches of each group [B, T · L, P·P·|g|], frame by frame, bands in the group's order. */
export function patchifyGroups(
  pixels: Tensor,
  groups: SpectralGroups,
  patchSize: PatchSides,
): readonly Tensor[] {
  const [B, T, C, H, W] = expectShape(pixels, ['B', 'T', 'C', 'H', 'W'], 'patchifyGroups: pixels')
  return scope(() => {
    const frames = reshape(pixels, [B * T, C, H, W])
    return groups.map((bands) => {
      const isAll = bands.length === C && bands.every((band, i) => band === i)
      const which = fromArray(BigInt64Array.from(bands, BigInt), [bands.length], 'int64')
      const own = isAll ? frames : indexSelect(frames, 1, toDevice(which, pixels.device))
      const patches = patchify(own, patchSize) // [B · T, L, P·P·|g|]
      return reshape(patches, [B, T * patches.shape[1]!, patches.shape[2]!])
    })
  })
}

/** valid [B, T, H, W] → [B, T · L, P·P], in the order of a patch's pixels. */
export function patchifyValid(valid: Tensor, patchSize: PatchSides): Tensor {
  const [B, T, H, W] = expectShape(valid, ['B', 'T', 'H', 'W'], 'patchifyValid: valid')
  return scope(() => patchifyGroups(reshape(valid, [B, T, 1, H, W]), [[0]], patchSize)[0]!)
}
