/**
 * The pixel target of He et al. 2021, section 3: hidden patches themselves, or normalised by each patch's own mean and
 * variance over all its P·P·C values. The variance is the unbiased one (n − 1), as in the reference implementation.
 */
import { call } from '../tensor/call.ts'
import { hasKernels } from '../tensor/fused.ts'
import { add, div, meanOver, mul, sqrt, sub, varianceOver } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { take } from '../token/take.ts'

const epsilon = 1e-6

/** Mean and standard deviation of each patch, both [B, M, 1]. */
export interface PatchStatistics {
  readonly mean: Tensor
  readonly deviation: Tensor
}

/** The statistics of patches [B, M, P·P·C] that normalise them. */
export function patchStatistics(patches: Tensor): PatchStatistics {
  return scope(() => ({
    mean: meanOver(patches, [-1], true),
    deviation: sqrt(add(varianceOver(patches, [-1], { unbiased: true, keepDim: true }), epsilon)),
  }))
}

/** The target for patches [B, M, P·P·C], same shape. */
export function pixelTarget(patches: Tensor, { normalize }: { normalize: boolean }): Tensor {
  if (!normalize) return patches
  return scope(() => {
    const { mean, deviation } = patchStatistics(patches)
    return div(sub(patches, mean), deviation)
  })
}

/**
 * The mean squared error of a prediction [B, M, P·P·C] against the target of the patches `hidden` [B, M] of
 * patches [B, N, P·P·C], a float32 scalar.
 */
export function pixelLoss(
  prediction: Tensor,
  patches: Tensor,
  hidden: Tensor,
  { normalize }: { normalize: boolean },
): Tensor {
  if (hasKernels(patches.device)) return call('sherd::patch_loss', prediction, patches, hidden, normalize)
  return scope(() => call('mse_loss', prediction, pixelTarget(take(patches, hidden), { normalize })))
}

/**
 * The loss of always predicting the mean (zero) of normalised patches of `width` values: (n − 1) / n, because the
 * variance is the unbiased one. The line below which something has been learned.
 */
export const meanPredictionLoss = (width: number): number => (width - 1) / width

/** Undoes the normalisation of `pixelTarget` with given statistics: [B, M, P·P·C] → same shape. */
export function withStatistics(prediction: Tensor, { mean, deviation }: PatchStatistics): Tensor {
  return scope(() => add(mul(prediction, deviation), mean))
}
