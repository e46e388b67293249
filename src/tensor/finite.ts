/** Traces non-finite values to the operator that made them. */
import { call, tensorsIn, witnessing } from './call.ts'
import { noGrad } from './context.ts'
import { all, sum, toDtype } from './ops.ts'
import { scope } from './scope.ts'
import { item, type Tensor } from './tensor.ts'

export interface NotFinite {
  /** Such as `blocks.1.mlp.fc2.weight`, or `the result of aten::linear(float32[8, 4], float32[4, 4])`. */
  readonly where: string
  readonly nan: number
  readonly infinite: number
  readonly elements: number
}

const isFloat = ({ dtype }: Tensor) => ['float16', 'bfloat16', 'float32', 'float64'].includes(dtype)
const countOf = (x: Tensor, what: 'isnan' | 'isinf') => item(sum(toDtype(call(what, x), 'float32')))

/** Null if the tensor is finite. */
export function notFinite(where: string, x: Tensor): NotFinite | null {
  if (!isFloat(x)) return null
  return noGrad(() =>
    scope(() => {
      const elements = x.shape.reduce((a, b) => a * b, 1)
      if (item(toDtype(all(call('isfinite', x)), 'float32')) === 1) return null
      return { where, nan: countOf(x, 'isnan'), infinite: countOf(x, 'isinf'), elements }
    }),
  )
}

/** The first non-finite result of an operator in `body`. Slow: checks every result. */
export function firstNotFinite(body: () => unknown): NotFinite | null {
  let found: NotFinite | null = null
  witnessing(
    ({ name, args, results }) => {
      if (found) return
      const shown = tensorsIn(args).map(String).join(', ')
      for (const result of results) found ??= notFinite(`the result of ${name}(${shown})`, result)
    },
    () => scope(body as () => void),
  )
  return found
}

/** `blocks.0.norm1.weight: 3 NaN and 1 infinite of 24 numbers` */
export const describeNotFinite = ({ where, nan, infinite, elements }: NotFinite): string =>
  `${where}: ${nan} NaN and ${infinite} infinite of ${elements} number${elements === 1 ? '' : 's'}`
