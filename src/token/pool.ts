/** One vector of an image's tokens [B, 1 + N, D], whose first is cls. */
import { call } from '../tensor/call.ts'
import { div, meanOver, mul, narrow, reshape, select } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** How the tokens of an image become one vector: the cls token, or the mean of the patches' tokens. */
export const poolings = ['cls', 'mean'] as const
export type Pooling = (typeof poolings)[number]

/** The mean of the tokens that hold data: all of them, or those that `present` [B, N] says. */
function meanOfPatches(tokens: Tensor, present: Tensor | null): Tensor {
  const [B, all] = expectShape(tokens, ['B', '1 + N', 'D'], 'pool: tokens')
  return scope(() => {
    const patches = narrow(tokens, 1, 1, all - 1)
    if (!present) return meanOver(patches, [1])
    const weights = reshape(present, [B, all - 1, 1])
    const count = call('clamp', call('sum.dim_IntList', weights, [1], false, null), 1, null) // [B, 1]
    return div(call('sum.dim_IntList', mul(patches, weights), [1], false, null), count)
  })
}

/** tokens [B, 1 + N, D] → [B, D] */
export const pool = {
  cls: (tokens) => select(tokens, 1, 0),
  mean: (tokens, present = null) => meanOfPatches(tokens, present),
} satisfies Record<Pooling, (tokens: Tensor, present?: Tensor | null) => Tensor>
