/** The parts of a loss as one number. */
import { add, mul } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Losses } from './objective.ts'

/** The loss of one part. */
export const onePart = (name: string, mean: Tensor): Losses => ({ parts: { [name]: { mean, weight: 1 } } })

/** The weighted sum of the parts, a scalar; `shareOf` is what a part counts of the whole step, by default all. */
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
