/** One vector of an image's tokens [B, 1 + N, D], whose first is cls. */
import { call } from '../tensor/call.ts'
import { div, meanOver, mul, narrow, permute, reshape, select } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { tokenCount } from './grid.ts'
import type { TokenLayout } from './layout.ts'

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

/** Numbers of a location's vector: one token of each group, behind one another. */
export const locationWidth = ({ groups }: Pick<TokenLayout, 'groups'>, width: number): number =>
  groups * width

/**
 * One vector for each location, of tokens [B, 1 + G · T · L, D]: the groups' tokens behind one another, each the mean over the frames
 * that hold data; [B, L, G · D].
 */
export function locationTokens(
  tokens: Tensor,
  present: Tensor | null,
  { grid, frames, groups }: TokenLayout,
): Tensor {
  const [B, all, D] = expectShape(tokens, ['B', '1 + N', 'D'], 'locationTokens: tokens')
  const L = tokenCount(grid)
  return scope(() => {
    const patches = reshape(narrow(tokens, 1, 1, all - 1), [B, groups, frames, L, D])
    const weights = present && reshape(present, [B, groups, frames, L, 1])
    const total = (x: Tensor) => call('sum.dim_IntList', x, [2], false, null)
    const means = weights
      ? div(total(mul(patches, weights)), call('clamp', total(weights), 1, null))
      : meanOver(patches, [2]) // [B, G, L, D]
    return reshape(permute(means, [0, 2, 1, 3]), [B, L, groups * D])
  })
}
