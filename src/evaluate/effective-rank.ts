/** Measures of collapse: effective rank and deviation of features. */
import { call } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import { div, matmul, meanOver, mul, sub, toDtype, transpose } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { tensor, toArray } from '../tensor/tensor.ts'

export interface Spread {
  /**
   * exp of the entropy of the singular values of the centred features, from 1 to their width (Roy & Vetterli 2007; RankMe,
   * Garrido et al. 2023).
   */
  readonly effectiveRank: number
  /**
   * The mean over dimensions of the standard deviation of normalised features, times √width: 0 for constant features, 1 for
   * directions spread evenly (Chen & He 2021, section 4.1).
   */
  readonly deviation: number
}

/** Of vectors [count, width]. */
export function spreadOf(vectors: Float32Array, width: number): Spread {
  const count = vectors.length / width
  return noGrad(() =>
    scope(() => {
      const x = toDtype(tensor(vectors, [count, width]), 'float64')
      const centred = sub(x, meanOver(x, [0], true))
      const variances = call('linalg_eigvalsh', div(matmul(transpose(centred, 0, 1), centred), count), 'L')
      const values = Array.from(toArray(variances) as Float64Array, (v) => Math.sqrt(Math.max(0, v)))
      const total = values.reduce((a, b) => a + b, 0)
      const entropy = values.reduce((sum, v) => (v > 0 ? sum - (v / total) * Math.log(v / total) : sum), 0)
      const unit = div(x, call('clamp_min', call('linalg_vector_norm', x, 2, [-1], true), 1e-12))
      const deviations = call('std.correction', unit, [0], 0, false)
      const deviation = mul(call('mean', deviations), Math.sqrt(width))
      return {
        effectiveRank: total > 0 ? Math.exp(entropy) : 1,
        deviation: (toArray(deviation) as Float64Array)[0]!,
      }
    }),
  )
}
