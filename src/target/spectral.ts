/** What spectral groups have to predict: their patches, as they are or normalised by one of three kinds of statistics. */
import { add, div, indexSelect, meanOver, reshape, sqrt, sub, toDevice, varianceOver } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { fromArray, type Tensor } from '../tensor/tensor.ts'
import { patchify } from '../token/patchify.ts'
import type { SpectralGroups } from '../token/spectral.ts'
import { patchStatistics, pixelTarget } from './pixels.ts'

/** Images [B, C, H, W] → the patches of each group [B, L, P·P·|g|], bands in the group's order. */
export const groupPatches = (images: Tensor, groups: SpectralGroups, patchSize: number): readonly Tensor[] =>
  groups.map((bands) =>
    scope(() => {
      const which = fromArray(BigInt64Array.from(bands, BigInt), [bands.length], 'int64')
      return patchify(indexSelect(images, 1, toDevice(which, images.device)), patchSize)
    }),
  )

const EPSILON = 1e-6 // as of the pixel target

type Normalize = (patches: readonly Tensor[], images: Tensor, patchSize: number) => readonly Tensor[]

/**
 * By what a patch is normalised: `group` the mean and variance of all its values (so that no band of large variance decides over
 * other groups), `band` each band's own, `all` those of every band of the image at that place, as the released SatMAE has it.
 */
export const spectralStatistics = {
  group: (patches) => patches.map((each) => pixelTarget(each, { normalize: true })),
  band: (patches, _, patchSize) =>
    patches.map((each) =>
      scope(() => {
        const [B, L, width] = each.shape as readonly [number, number, number]
        const pixels = patchSize * patchSize
        const x = reshape(each, [B, L, pixels, width / pixels])
        const deviation = sqrt(add(varianceOver(x, [2], { unbiased: true, keepDim: true }), EPSILON))
        return reshape(div(sub(x, meanOver(x, [2], true)), deviation), [B, L, width])
      }),
    ),
  all: (patches, images, patchSize) =>
    scope(() => {
      const { mean, deviation } = patchStatistics(patchify(images, patchSize))
      return patches.map((each) => div(sub(each, mean), deviation))
    }),
} satisfies Record<string, Normalize>

export type SpectralStatistics = keyof typeof spectralStatistics
