/** Sums the parts of a loss. */
import { add, mul } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Losses } from './objective.ts'

/** The loss of one part. */
export const onePart = (name: string, mean: Tensor): Losses => ({ parts: { [name]: { mean, weight: 1 } } })

/** The weighted sum of the parts; `shareOf`: the share of the micro-batch in a part, default 1. */
export function totalOf({ parts }: Losses, shareOf: (part: string) => number = () => 1): Tensor {
  return scope(() =>
    Object.entries(parts)
      .map(([name, { mean, weight }]) => {
        const factor = weight * shareOf(name)
        return factor === 1 ? mean : mul(mean, factor)
      })
      .reduce((a, b) => add(a, b)),
  )
}
