/**
 * How near rebuilt patches are to the true ones: PSNR, and SSIM (Wang et al. 2004) with one patch as the window, uniform
 * weights and population moments. Both are taken on hidden patches only: visible ones are pasted and would flatter.
 */
import { call } from '../tensor/call.ts'
import { add, div, meanOver, mul, square, sub, toDevice } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import { type Tensor, toFloats } from '../tensor/tensor.ts'

export interface Quality {
  /** Peak signal-to-noise ratio in dB, for a peak of 1; infinite for a perfect copy. */
  readonly psnr: number
  /** Structural similarity, at most 1; the mean over hidden patches and channels. */
  readonly ssim: number
}

// K1 = 0.01 and K2 = 0.03 of the paper, for a dynamic range of 1.
const C1 = 0.01 ** 2
const C2 = 0.03 ** 2

/**
 * One result for each image. Both [B, N, P·P, C], values are clipped to [0, 1]. `counted` [B, N, P·P, C] is 1 for what was hidden
 * (and holds data), else 0.
 */
export function hiddenQuality(truth: Tensor, rebuilt: Tensor, counted: Tensor): Quality[] {
  const shape = expectShape(truth, ['B', 'N', 'P·P', 'C'], 'hiddenQuality: truth')
  expectShape(rebuilt, shape, 'hiddenQuality: rebuilt')
  expectShape(counted, shape, 'hiddenQuality: counted')
  return scope(() => {
    const [a, b] = [call('clamp', truth, 0, 1), call('clamp', rebuilt, 0, 1)]
    const windows = call('amin', counted, [2], false) // [B, N, C]: whole windows
    const weighted = (x: Tensor, weights: Tensor, dims: readonly number[]) =>
      perImage(
        div(
          call('sum.dim_IntList', mul(x, weights), dims, false, null),
          call('sum.dim_IntList', weights, dims, false, null),
        ),
      )
    const errors = weighted(square(sub(a, b)), counted, [1, 2, 3])
    const similarities = weighted(ssim(a, b), windows, [1, 2])
    return errors.map((error, i) => ({ psnr: -10 * Math.log10(error), ssim: similarities[i]! }))
  })
}

/** a, b [B, M, P·P, C] → [B, M, C] */
function ssim(a: Tensor, b: Tensor): Tensor {
  const [meanA, meanB] = [meanOver(a, [2]), meanOver(b, [2])] // [B, M, C]
  const [restA, restB] = [sub(a, meanOver(a, [2], true)), sub(b, meanOver(b, [2], true))]
  const covariance = meanOver(mul(restA, restB), [2])
  const variances = add(meanOver(square(restA), [2]), meanOver(square(restB), [2]))
  return div(
    mul(add(mul(mul(meanA, meanB), 2), C1), add(mul(covariance, 2), C2)),
    mul(add(add(square(meanA), square(meanB)), C1), add(variances, C2)),
  )
}

const perImage = (x: Tensor): number[] => [...toFloats(toDevice(x, 'cpu'))]

/** The mean over images. */
export function meanQuality(qualities: readonly Quality[]): Quality {
  const meanOf = (key: keyof Quality) =>
    qualities.reduce((sum, quality) => sum + quality[key], 0) / qualities.length
  return { psnr: meanOf('psnr'), ssim: meanOf('ssim') }
}
