/** One vector of an image's tokens. */
import { call } from '../tensor/call.ts'
import { div, meanOver, mul, permute, reshape, unsqueeze } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { tokenCount } from './grid.ts'
import type { TokenLayout } from './layout.ts'
import { clsOf, type Prefixed, patchesOf } from './prefix.ts'

export interface PooledTokens extends Prefixed {
  /** [B, K] 1 for patches that hold data; null when all do. */
  readonly present?: Tensor | null
}

const checked = <T extends Prefixed>(tokens: T, where: string): T => {
  expectShape(tokens.sequence, ['B', 'P + K', 'D'], where)
  return tokens
}

/** The mean of the patches that hold data. */
function meanOfPatches(tokens: PooledTokens): Tensor {
  const { present } = tokens
  return scope(() => {
    const patches = patchesOf(tokens)
    if (!present) return meanOver(patches, [1])
    const weights = unsqueeze(present, 2)
    const count = call('clamp', call('sum.dim_IntList', weights, [1], false, null), 1, null) // [B, 1]
    return div(call('sum.dim_IntList', mul(patches, weights), [1], false, null), count)
  })
}

/** tokens [B, P + K, D] → [B, D]; neither reads registers. */
export const pool = {
  cls: (tokens: PooledTokens): Tensor => clsOf(checked(tokens, 'pool: tokens')),
  mean: (tokens: PooledTokens): Tensor => meanOfPatches(checked(tokens, 'pool: tokens')),
}

/** Numbers of a location's vector: one token of each group, behind one another. */
export const locationWidth = ({ groups }: Pick<TokenLayout, 'groups'>, width: number): number =>
  groups * width

/**
 * One vector for each location, of the tokens [B, P + G · T · L, D] of a layout: the groups' tokens behind one another, each the mean
 * over the frames that hold data; [B, L, G · D].
 */
export function locationTokens(tokens: PooledTokens, { grid, frames, groups }: TokenLayout): Tensor {
  const { sequence, present } = checked(tokens, 'locationTokens: tokens')
  const [B, , D] = sequence.shape as readonly [number, number, number]
  const L = tokenCount(grid)
  return scope(() => {
    const patches = reshape(patchesOf(tokens), [B, groups, frames, L, D])
    const weights = present && reshape(present, [B, groups, frames, L, 1])
    const total = (x: Tensor) => call('sum.dim_IntList', x, [2], false, null)
    const means = weights
      ? div(total(mul(patches, weights)), call('clamp', total(weights), 1, null))
      : meanOver(patches, [2]) // [B, G, L, D]
    return reshape(permute(means, [0, 2, 1, 3]), [B, L, groups * D])
  })
}
